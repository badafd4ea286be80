"Studies: one plan, many runs; nothing done twice, nothing lost, whatever is killed."
import json, os, random, signal, subprocess, sys, time
from pathlib import Path
import pytest
import slurm

BIN = Path(sys.executable).parent
STUDY = '_test_study'
TOY = 'nbs/_test_toy.ipynb' # a run that takes no time, and can end in every way
PARAMETERS = '''model: str = "toy"  # name
how: str = "well"  # how it ends: well, slow, error, memory, killed
level: float = 0.5  # of anything, from 0 to 1
seed: int = 0  # of nothing
study: str = "smoke"  # folder under runs'''
CHECKS = '''from inspectkit.runs import check_range, provenance, read_params, save_run
params = read_params(globals())
check_range('level', level, 0, 1)'''
WORK = '''import os, time
if how == 'slow': time.sleep(2.5)
if how == 'error': open('/nowhere/photos')
if how == 'memory': bytearray(2*10**9)
if how == 'killed': os.kill(os.getpid(), 9)
env = provenance('nbs/_test_toy.ipynb') | dict(seconds=dict(work=.1), threads=1, omp=os.environ['OMP_NUM_THREADS'])
save_run(params, dict(level=level), env | dict(data=dict(name='toy')))'''


def cell(source, *tags):
    c = dict(cell_type='code', id=f'c{len(source)}', metadata=dict(tags=tags))
    return c | dict(source=source, outputs=[], execution_count=None)


@pytest.fixture
def plan(root):
    "Write a plan; everything it leaves is removed."
    file, folder = root/'studies'/f'{STUDY}.yaml', root/'runs'/STUDY
    cells = [cell(PARAMETERS, 'parameters'), cell(CHECKS, 'checks'), cell(WORK)]
    kernel = dict(name='python3', display_name='python3', language='python')
    (root/TOY).write_text(json.dumps(dict(cells=cells, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)))
    def group(notebook=TOY, memory=2, **more): return dict(notebook=notebook, minutes=.1, memory=memory, **more)
    def write(*groups): file.write_text(json.dumps(dict(cores=[group(**g) for g in groups]))) # JSON is YAML
    yield write
    for f in (*folder.glob('*'), *folder.glob('.*'), file, root/TOY): f.unlink(missing_ok=True)
    if folder.exists(): folder.rmdir()


def line(what, *more): return [sys.executable, 'workflow/study.py', what, STUDY, *more]


def study(root, what, *more, **kw):
    call = dict(stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
    r = subprocess.run(line(what, *more), cwd=root, **call, **kw)
    return r.returncode, r.stdout + r.stderr


def results(root):
    return {f.name: json.loads(f.read_text(encoding='utf-8')) for f in (root/'runs'/STUDY).glob('*.json')}


def test_a_wrong_plan_starts_nothing(root, plan):
    for params, message in [(dict(levle=1), 'has no parameter levle; there are model, how, level, seed, study'),
                            (dict(level=7), 'group 2: level=7.0 must be from 0 to 1'),
                            (dict(how=3), 'how=3 is int, needs str')]:
        plan({}, dict(params=params))
        for what in ('plan', 'make'):
            code, out = study(root, what)
            assert code == 1 and message in out and 'Traceback' not in out, out
    assert not results(root)


def test_failures_stop_nobody_and_nothing_is_done_twice(root, plan):
    plan(dict(grid=dict(how=['error', 'memory', 'killed'], seed=[1])), dict(grid=dict(seed=[0, 1])))
    code, out = study(root, 'make', '--jobs', '2')
    assert code == 1 and len(results(root)) == 2, out
    assert '3 failed, 2 done' in out, out
    for how, why in [('error', "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/photos'"),
                     ('memory', 'MemoryError'), ('killed', 'its kernel was killed: not enough memory?')]:
        lines = [l for l in out.splitlines() if l.startswith('failed: ') and f'(how={how} seed=1)' in l]
        assert len(lines) == 1 and why in lines[0] and (root/lines[0].split('[')[-1][:-1]).exists(), out
    assert {r['env']['omp'] for r in results(root).values()} == {str(max(1, len(os.sched_getaffinity(0))//2))}
    before = {f: f.stat().st_mtime_ns for f in (root/'runs'/STUDY).glob('*.json')}
    os.utime(root/TOY) # as in a fresh clone: the notebook is newer than the result
    study(root, 'make')
    assert before == {f: f.stat().st_mtime_ns for f in (root/'runs'/STUDY).glob('*.json')}
    next(iter(before)).unlink() # of a run that ended well: its log is still there, and nothing was killed
    code, out = study(root, 'plan')
    assert '1 of 5 runs are done' in out and out.count('its kernel was killed') == 1, out


def test_older_results_are_told_and_made_again_when_asked(root, plan):
    plan(dict(grid=dict(seed=[0, 1])))
    assert study(root, 'make')[0] == 0
    file = sorted((root/'runs'/STUDY).glob('*.json'))[0]
    run = json.loads(file.read_text(encoding='utf-8'))
    run['env'] |= dict(code='another', commit='abcdef0123456789')
    file.write_text(json.dumps(run))
    code, out = study(root, 'plan')
    assert 'made by older code (abcdef01)' in out and '2 of 2 runs are done' in out, out
    study(root, 'make')
    assert results(root)[file.name]['env']['code'] == 'another' # not without being asked
    notebook = json.loads((root/TOY).read_text())
    notebook['cells'][2]['source'] = '1/0'
    good = (root/TOY).read_text()
    (root/TOY).write_text(json.dumps(notebook))
    code, out = study(root, 'make', '--again', 'older') # and it fails: the old results stay
    assert code == 1 and results(root)[file.name]['env']['code'] == 'another' and len(results(root)) == 2, out
    (root/TOY).write_text(good)
    code, out = study(root, 'make', '--again', 'older')
    assert code == 0 and results(root)[file.name]['env']['code'] != 'another', out


def test_two_at_once_are_refused_and_a_stale_lock_is_not(root, plan):
    plan(dict(params=dict(how='slow'), grid=dict(seed=[0, 1])))
    silent = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = subprocess.Popen(line('make'), cwd=root, start_new_session=True, **silent)
    wait_for(lambda: any((root/'.snakemake'/'locks').glob('*')), first)
    code, out = study(root, 'make')
    assert code == 1 and f'another study is being made here by process {first.pid} on ' in out, out
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert any((root/'.snakemake'/'locks').glob('*')), 'it was to leave a lock'
    code, out = study(root, 'make')
    assert code == 0 and len(results(root)) == 2, out


def wait_for(true, process, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(.05)


def metrics(root):
    found = {}
    for name, run in results(root).items():
        for e in run['metrics']['history']: del e['seconds']
        found[name] = run['metrics']
    return found


def test_killed_at_random_moments(root, plan, photos):
    "KILLS=20 is what was promised; two of them are enough for every day."
    params = dict(model='cnn5', image_size=64, n_images=0, epochs=4, dropout=[.3], units=[16, 8])
    params['data'] = f'folder:{photos}'
    plan(dict(notebook='nbs/run_experiment.ipynb', memory=4, params=params, grid=dict(seed=[0, 1])))
    seed = int(os.environ.get('KILL_SEED', time.time()))
    rng, kills, resumed, kept = random.Random(seed), int(os.environ.get('KILLS', 2)), 0, {}
    for k in range(kills):
        p = subprocess.Popen(line('make', '--jobs', '2'), cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)
        try: p.wait(rng.uniform(3, 13))
        except subprocess.TimeoutExpired: os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        now = {f.name: f.read_bytes() for f in (root/'runs'/STUDY).glob('*.json')}
        assert kept.items() <= now.items(), f'a finished run was lost or made anew; KILL_SEED={seed}'
        kept = now
        resumed += sum(1 for _ in (root/'runs'/STUDY).glob('*.ckpt'))
        print(f'kill {k + 1}: {len(kept)} runs are done, {resumed} checkpoints so far', flush=True)
        if len(kept) == 2: # everything is there: begin anew, but keep the last
            next((root/'runs'/STUDY).glob('*.json')).unlink()
            kept = {f.name: f.read_bytes() for f in (root/'runs'/STUDY).glob('*.json')}
    code, out = study(root, 'make', '--jobs', '2')
    assert code == 0, out
    disturbed = metrics(root)
    assert len(disturbed) == 2 and not list((root/'runs'/STUDY).glob('.*.part')), f'KILL_SEED={seed}'
    for f in (root/'runs'/STUDY).glob('*'): f.unlink()
    assert study(root, 'make', '--jobs', '2')[0] == 0
    assert metrics(root) == disturbed, f'KILL_SEED={seed}'


def test_each_run_has_a_gpu_of_its_own(root, tmp_path):
    "With a stand-in for nvidia-smi that knows two GPUs, three runs at once: the third waits for one of the first two."
    (tmp_path/'nvidia-smi').write_text('#!/bin/sh\nprintf "0\\n1\\n"\n')
    (tmp_path/'job').write_text(f'#!/bin/sh\necho $CUDA_VISIBLE_DEVICES $(date +%s.%N) >> {tmp_path}/seen\nsleep 1\n')
    for f in ('nvidia-smi', 'job'): (tmp_path/f).chmod(0o755)
    env = os.environ | dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', TMPDIR=str(tmp_path))
    env.pop('CUDA_VISIBLE_DEVICES', None)
    call = ['workflow/run.sh', '1000', '1', str(tmp_path/'job')]
    for p in [subprocess.Popen(call, cwd=root, env=env) for _ in range(3)]: assert p.wait() == 0
    seen = sorted((float(t), gpu) for gpu, t in (l.split() for l in (tmp_path/'seen').read_text().splitlines()))
    assert {gpu for _, gpu in seen[:2]} == {'0', '1'} and seen[2][0] - seen[0][0] > .9


def test_a_full_disk(root, plan):
    "A file system of 64 kB holds the results of the runs: what does not fit fails, and can be made later."
    plan(dict(grid=dict(seed=[0, 1])))
    folder = root/'runs'/STUDY
    folder.mkdir(parents=True)
    mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], capture_output=True, text=True)
    if mount.returncode: pytest.skip(f'a small file system needs root: {mount.stderr.strip()}')
    try:
        (folder/'.filler').write_bytes(b'0'*60_000)
        code, out = study(root, 'make')
        assert code == 1 and '2 failed' in out and not results(root), out
        assert 'disk' in out or 'No space left' in out, out
        (folder/'.filler').unlink()
        assert study(root, 'make')[0] == 0 and len(results(root)) == 2
    finally: subprocess.run(['umount', folder], check=True)


def test_slurm(root, plan):
    "A real cluster of one machine; its node's daemon is killed in the middle."
    if why := slurm.missing(): pytest.skip(why)
    plan(dict(params=dict(how='slow'), grid=dict(seed=[0, 1, 2, 3])))
    often = ['--slurm-init-seconds-before-status-checks', '2', '--seconds-between-status-checks', '2']
    here = ['--slurm-no-account', '--slurm-status-command', 'squeue', '--set-threads', 'run=1', *often]
    with slurm.cluster(2) as restart_node, open(root/'runs'/'_slurm.log', 'w+') as log:
        call = line('make', '--profile', 'slurm', '--jobs', '4', '--', *here)
        p = subprocess.Popen(call, cwd=root, stdout=log, stderr=log)
        wait_for(lambda: any((root/'runs'/STUDY).glob('*.ipynb')), p)
        restart_node()
        code = p.wait(300)
        log.seek(0)
        assert code == 0 and len(results(root)) == 4, log.read()
    (root/'runs'/'_slurm.log').unlink()

KUBECTL = '''#!/usr/bin/env python3
"A stand-in for kubectl: a job is a process of this machine. What the profile says to it is checked here."
import pathlib, subprocess, sys, yaml
place = pathlib.Path(__file__).parent
if sys.argv[1] == 'create':
    job = yaml.safe_load(sys.stdin)
    spec = job['spec']['template']['spec']
    container, = spec['containers']
    assert job['apiVersion'] == 'batch/v1' and spec['restartPolicy'] == 'Never' and container['image'] == 'lab/python'
    assert spec['volumes'][0]['persistentVolumeClaim']['claimName'] == 'disk'
    assert container['resources']['requests'] == dict(cpu=1, memory='2000M')
    done = place/job['metadata']['name']
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    line = ' '.join(container['command']) + f'; echo $? > {done}'
    subprocess.Popen(['bash', '-c', line], cwd=container['workingDir'], start_new_session=True, **quiet)
elif sys.argv[1] == 'get':
    done = place/sys.argv[3]
    code = done.read_text().strip() if done.exists() else ''
    print('1/' if code == '0' else '/1' if code else '/')
'''


def test_kubernetes_profile(root, plan, tmp_path):
    "Not a cluster: a stand-in for kubectl that reads the job as Kubernetes would and runs it here."
    (tmp_path/'kubectl').write_text(KUBECTL.replace('/usr/bin/env python3', sys.executable, 1))
    (tmp_path/'kubectl').chmod(0o755)
    plan(dict(grid=dict(how=['well', 'error'])))
    named = dict(INSPECTKIT_IMAGE='lab/python', INSPECTKIT_CLAIM='disk', PATH=f'{tmp_path}:{os.environ["PATH"]}')
    more = ['--set-threads', 'run=1', '--seconds-between-status-checks', '1', '--latency-wait', '2']
    code, out = study(root, 'make', '--profile', 'kubernetes', '--jobs', '2', '--', *more, env=os.environ | named)
    assert code == 1 and '1 done' in out and '/nowhere/photos' in out and len(results(root)) == 1, out
