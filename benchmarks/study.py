"""What a study costs beside the work itself: a run through papermill against its cells in bare Python, and planning."""
import json, os, statistics, subprocess, sys, time
from pathlib import Path
from measure import save
from inspectkit.runs import repo_root
from inspectkit.studies import plan

ROOT, NAME = repo_root(), '_bench'
FILE, FOLDER = ROOT/'studies'/f'{NAME}.yaml', ROOT/'runs'/NAME
BIN = Path(sys.executable).parent
BARE = '''import json, sys
cells = [c for c in json.load(open(sys.argv[1]))['cells'] if c['cell_type'] == 'code']
names = dict(display=print)
for c in cells:
    exec(''.join(c['source']), names)
    if 'parameters' in c['metadata'].get('tags', []): names.update(json.loads(sys.argv[2]))'''


def planned(seeds, epochs=3):
    params = dict(model='cnn5', image_size=64, n_images=120, epochs=epochs)
    group = dict(notebook='nbs/run_experiment.ipynb', params=params, grid=dict(seed=list(range(seeds))))
    FILE.write_text(json.dumps(dict(cores=[group | dict(minutes=.2, memory=4)])))
    for f in FOLDER.glob('*'): f.unlink()


def seconds(*call, n=1, **env):
    start = time.perf_counter()
    for _ in range(n):
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(list(map(str, call)), check=True, cwd=ROOT, env=os.environ | env, **quiet)
    return (time.perf_counter() - start)/n


def study(what, *more): return seconds(sys.executable, 'workflow/study.py', what, NAME, *more)


result = {}
try:
    planned(1)
    line, = plan(NAME)
    given = [a for k in ('model', 'image_size', 'n_images', 'epochs', 'study') for a in ('-p', k, line['params'][k])]
    cores = dict(OMP_NUM_THREADS=str(os.cpu_count()), MPLBACKEND='agg') # as a study of one run at a time gives it
    bare = [sys.executable, '-c', BARE, line['notebook'], json.dumps(line['params'])]
    rounds = [(seconds(*bare, **cores), seconds(BIN/'papermill', line['notebook'], FOLDER/'log.ipynb', *given, **cores))
              for _ in range(4)][1:] # the first brings the files into memory
    t = {k: statistics.median(v) for k, v in zip(('bare python', 'papermill'), zip(*rounds))}
    planned(6)
    t['study of 6'] = study('make')
    t['nothing to do'] = study('make')
    planned(2)
    t['study of 2'] = study('make')
    t['a run more in a study'] = (t['study of 6'] - t['study of 2'])/4
    planned(5000)
    t['plan of 5000'] = study('plan')
    t['plan of 5000 by Snakemake'] = seconds(BIN/'snakemake', '-n', '-q', '--cores', 2, '--config', f'study={NAME}')
    for jobs in (1, 2):
        planned(4, 40)
        t[f'4 runs of 40 epochs, {jobs} at once'] = study('make', '--jobs', jobs)
    one, two = (t[f'4 runs of 40 epochs, {jobs} at once'] for jobs in (1, 2))
    result = dict(seconds=t, overhead_of_a_run=t['a run more in a study'] - t['bare python'],
                  ours=t['a run more in a study'] - t['papermill'], two_at_once_against_the_better=two/min(one, two))
finally:
    planned(1)
    FILE.unlink()
    FOLDER.rmdir()
save('study', result)
