"""A study's plan as a table, and the study itself.

    python workflow/study.py plan corrosion --size cores
    python workflow/study.py make corrosion --size cores --jobs 2
"""
import argparse, fcntl, os, platform, shlex, subprocess, sys, time
from pathlib import Path
import psutil
from inspectkit.runs import repo_root
from inspectkit.studies import check_values, plan, states, summary, trouble

BIN = Path(sys.executable).parent


def alone():
    "A file that is locked as long as this process lives, Snakemake's included; exits where another one holds it."
    folder = repo_root()/'.snakemake'
    folder.mkdir(exist_ok=True)
    lock = os.open(folder/'study.lock', os.O_RDWR | os.O_CREAT)
    try: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f'another study is being made here by {os.read(lock, 500).decode()}: wait for it, or stop it')
    os.ftruncate(lock, 0)
    os.write(lock, f'process {os.getpid()} on {platform.node()} since {time.strftime("%F %T")}'.encode())
    os.set_inheritable(lock, True)


def others():
    "Processes of a plain snakemake in this folder, which know nothing of our lock."
    for p in psutil.process_iter(['cmdline', 'cwd']):
        if p.info['cwd'] == str(repo_root()) and any(Path(c).name == 'snakemake' for c in p.info['cmdline'] or []):
            yield p.pid


def start(a, more):
    "Become Snakemake, with the lock in hand."
    alone()
    line = [str(BIN/'snakemake')]
    if a.profile: line += ['--profile', f'workflow/profiles/{a.profile}', '--jobs', str(a.jobs)]
    else: line += ['--cores', 'all', '--resources', f'mem_mb={psutil.virtual_memory().total//10**6}']
    line += ['--config', f'study={a.study}', f'size={a.size}', f'jobs={a.jobs}']
    if a.again: line += ['again=older', '--forcerun', 'run']
    print('made by  ' + shlex.join(['snakemake', *line[1:], *more]), flush=True)
    os.chdir(repo_root())
    os.environ['PYTHONPATH'] = os.pathsep.join(['workflow', *filter(None, [os.environ.get('PYTHONPATH')])])
    if any(Path('.snakemake/locks').glob('*')):
        if pids := list(others()): sys.exit(f'snakemake is at work here already, process {pids[0]}: wait for it')
        subprocess.run([*line, '--unlock'], check=True, capture_output=True) # left by one that was killed
    at = line.index('--config') + 1
    os.execv(line[0], [*line[:at], 'checked=1', *line[at:], '--logger', 'studies', *more])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['plan', 'make'])
    p.add_argument('study', help='the name of a file studies/<study>.yaml')
    p.add_argument('--size', default='cores', help="one of the plan's sizes: cores, paper")
    p.add_argument('--jobs', type=int, default=1, help='runs at once; they share the processors')
    p.add_argument('--profile', default='', help='a folder of workflow/profiles: slurm, kubernetes')
    p.add_argument('--again', choices=['older'], help='make what older code made anew; the old results stay until then')
    p.epilog = 'What stands after -- goes to snakemake.'
    at = sys.argv.index('--') if '--' in sys.argv else len(sys.argv)
    a, more = p.parse_args(sys.argv[1:at]), sys.argv[at + 1:]
    if a.jobs < 1: sys.exit(f'jobs={a.jobs} must be at least 1')
    try:
        runs = plan(a.study, a.size)
        check_values([r for r in runs if not r['path'].exists()])
    except (ValueError, FileNotFoundError) as e: sys.exit(str(e))
    table = states(runs)
    done = table.state.isin(['done', 'older'])
    if a.what == 'plan': print(summary(table).to_string())
    for text in trouble(table, ('failed',)): print(text)
    old = trouble(table, ('older',)) if a.what == 'plan' else []
    for text in old[:3]: print(text)
    if len(old) > 3: print(f'and {len(old) - 3} more: they count as done, AGAIN=older makes them anew')
    left = table.expected[~done].sum()
    print(f'{done.sum()} of {len(table)} runs are done, about {left:.0f} min of work are left')
    if a.what == 'plan' or (done.all() and not (a.again and table.state.eq('older').any())): return
    start(a, more)


if __name__ == '__main__': main()
