"""What a study costs beside the work itself.

A run start to end: papermill against the same cells in bare Python. What is ours of that: a run that does nothing, in a
study, against papermill alone on the same notebook. Planning, and two runs at once.
"""
import json, os, statistics, subprocess, sys, time
from pathlib import Path
from measure import save
from inspectkit.runs import repo_root

ROOT, NAME = repo_root(), '_bench'
FILE, FOLDER, TOY = ROOT/'studies'/f'{NAME}.yaml', ROOT/'runs'/NAME, ROOT/'nbs'/'_bench.ipynb'
PAPERMILL, LOG = Path(sys.executable).with_name('papermill'), FOLDER/'log.ipynb'
REAL = dict(notebook='nbs/run_experiment.ipynb', minutes=.2, memory=4)
SMALL = dict(model='cnn5', image_size=64, n_images=120, epochs=3)
NOTHING = '''from inspectkit.runs import save_run
save_run(dict(model=model, seed=seed, study=study), {}, {})'''
BARE = '''import json, sys
cells = [c for c in json.load(open(sys.argv[1]))['cells'] if c['cell_type'] == 'code']
names = dict(display=print)
for c in cells:
    exec(''.join(c['source']), names)
    if 'parameters' in c['metadata'].get('tags', []): names.update(json.loads(sys.argv[2]))'''


def toy():
    "The notebook of a run that does nothing."
    sources = [('model: str = "toy"\nseed: int = 0\nstudy: str = "smoke"', ['parameters']), (NOTHING, [])]
    cells = [dict(cell_type='code', id=f'c{len(s)}', metadata=dict(tags=t), source=s, outputs=[], execution_count=None)
             for s, t in sources]
    kernel = dict(name='python3', display_name='python3', language='python')
    TOY.write_text(json.dumps(dict(cells=cells, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)))
    return dict(notebook='nbs/_bench.ipynb', minutes=.1, memory=1)


def planned(group, seeds, **params):
    FILE.write_text(json.dumps(dict(cores=[group | dict(params=params, grid=dict(seed=list(range(seeds))))])))
    for f in FOLDER.glob('*'): f.unlink()


def seconds(*call):
    env = os.environ | dict(OMP_NUM_THREADS=str(os.cpu_count()), MPLBACKEND='agg')
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start = time.perf_counter()
    subprocess.run(list(map(str, call)), check=True, cwd=ROOT, env=env, **quiet)
    return time.perf_counter() - start


def study(what, *more): return seconds(sys.executable, 'workflow/study.py', what, NAME, *more)


def median(ways, repeats=3):
    "They take turns; the first round brings the files into memory and does not count."
    rounds = [[f() for f in ways.values()] for _ in range(repeats + 1)][1:]
    return {k: statistics.median(v) for k, v in zip(ways, zip(*rounds))}


def some_in_a_study(n):
    planned(toy(), n)
    return study('make')


def real_at_once(jobs):
    planned(REAL, 4, **SMALL | dict(epochs=20))
    return study('make', '--jobs', jobs)


FOLDER.mkdir(parents=True, exist_ok=True)
toy()
options = [a for k, v in (SMALL | dict(study=NAME)).items() for a in ('-p', k, v)]
bare = [sys.executable, '-c', BARE, REAL['notebook'], json.dumps(SMALL | dict(study=NAME))]
try:
    t = median({'real, bare python': lambda: seconds(*bare),
                'real, papermill': lambda: seconds(PAPERMILL, REAL['notebook'], LOG, *options)})
    t |= median({'nothing, papermill': lambda: seconds(PAPERMILL, TOY, LOG, '-p', 'study', NAME),
                 'nothing, study of 2': lambda: some_in_a_study(2),
                 'nothing, study of 10': lambda: some_in_a_study(10)})
    t['all is done'] = study('make')
    planned(REAL, 5000, **SMALL)
    t |= median({'plan of 5000': lambda: study('plan')})
    t |= median({'4 runs, one at once': lambda: real_at_once(1), '4 runs, two at once': lambda: real_at_once(2)}, 1)
    one, two = t['4 runs, one at once'], t['4 runs, two at once']
    ours = (t['nothing, study of 10'] - t['nothing, study of 2'])/8 - t['nothing, papermill']
    overhead = t['real, papermill'] - t['real, bare python'] + ours
    result = dict(seconds=t, overhead_of_a_run=overhead, ours_of_that=ours, two_at_once_by_the_better=two/min(one, two))
finally:
    for f in (*FOLDER.glob('*'), FILE, TOY): f.unlink(missing_ok=True)
    FOLDER.rmdir()
save('study', result)
