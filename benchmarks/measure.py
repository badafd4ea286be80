"How the benchmarks measure: ways take turns, the median counts, and what was measured is saved with the machine."
import json, statistics, time
from pathlib import Path
import torch
from inspectkit.runs import provenance, whole


def turns(ways, repeats, clock=time.perf_counter):
    "Seconds of each way at each turn, after one warm-up; they take turns, so that a busy moment hits all."
    times = {k: [] for k in ways}
    for r in range(repeats + 1):
        for k, f in ways.items():
            start = clock()
            f()
            if r: times[k].append(clock() - start)
    return times


def alternate(ways, repeats):
    "Median seconds of each way."
    return {k: statistics.median(v) for k, v in turns(ways, repeats).items()}


def save(name, result):
    "Print and write `benchmarks/<name>.json`."
    rounded = json.loads(json.dumps(result), parse_float=lambda v: float(f'{float(v):.3g}'))
    written = dict(result=rounded, threads=torch.get_num_threads(), env=provenance('nbs/run_experiment.ipynb'))
    text = json.dumps(written, indent=1, ensure_ascii=False)
    with whole(Path(__file__).with_name(f'{name}.json')) as part: part.write_text(text + '\n', encoding='utf-8')
    print(json.dumps(rounded, indent=1, ensure_ascii=False))
