#!/usr/bin/env bash
# run.sh MEGABYTES GPU COMMAND...: one run, with the memory that its plan gives it, on a GPU of its own where there are
# GPUs and it wants one (GPU is 1).
memory=$1 wants_gpu=$2
shift 2
if [ "$wants_gpu" = 1 ] && [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then # on a cluster the scheduler has chosen one
    gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)
    until [ -z "$gpus" ] || [ -n "$CUDA_VISIBLE_DEVICES" ]; do
        for gpu in $gpus; do
            exec 9>"${TMPDIR:-/tmp}/inspectkit-gpu-$gpu.lock" # held as long as the run lives
            if flock -n 9; then export CUDA_VISIBLE_DEVICES=$gpu; break; fi
        done
        [ -n "$CUDA_VISIBLE_DEVICES" ] || sleep 1
    done
fi
if [ -z "$CUDA_VISIBLE_DEVICES" ]; then ulimit -S -d $((memory * 1000)); fi # a clear error, and not the whole machine
exec "$@" --no-progress-bar </dev/null >/dev/null 2>&1
