"A search shared by two workers, one of which is killed in the middle of a trial."
import json, os, shutil, socket, subprocess, sys, time
from pathlib import Path
import optuna, psutil, pytest
from optuna.trial import TrialState
from inspectkit.runs import read_run
from inspectkit.search import open_storage
from warm import caller

BIN = Path(sys.executable).parent
STUDY, N = '_test_search', 4
GIVEN = dict(n_trials=N, epochs=4, n_images=0, prune=False, beat=.5, grace=3, study=STUDY)
ARGS = [str(a) for k, v in GIVEN.items() for a in ('-p', k, v)]


@pytest.fixture
def postgres(tmp_path):
    "A server from Debian's packages, on a free port of this machine; its URL."
    if not shutil.which('initdb'): pytest.skip('no PostgreSQL server: apt-get install postgresql')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    home = Path(f'/tmp/inspectkit-pg-{os.getpid()}')
    home.mkdir()
    user = ['runuser', '-u', 'postgres', '--'] if not os.geteuid() else [] # it refuses to be root
    if user: shutil.chown(home, 'postgres')
    def call(*args): subprocess.run([*user, *args], check=True, capture_output=True, cwd=home)
    call('initdb', '-D', str(home/'data'), '-U', 'me', '--auth=trust')
    start = f"-p {port} -k {home} -c listen_addresses=127.0.0.1"
    call('pg_ctl', '-D', str(home/'data'), '-l', str(home/'log'), '-w', '-o', start, 'start')
    try: yield f'postgresql://me@127.0.0.1:{port}/postgres'
    finally:
        call('pg_ctl', '-D', str(home/'data'), '-m', 'immediate', 'stop')
        shutil.rmtree(home)


@pytest.fixture
def sqlite(root):
    yield ''
    shutil.rmtree(root/'runs'/STUDY, ignore_errors=True)


@pytest.fixture
def journal(tmp_path): return f'journal:{tmp_path}/探索.journal'


def watched(root, url):
    "The study as a third process sees it, once the workers have made it."
    until = time.monotonic() + 120
    while time.monotonic() < until:
        places = [url] if url else list((root/'runs'/STUDY).glob('*.db'))
        for place in places:
            storage = open_storage(url, Path(place))
            for name in optuna.get_all_study_names(storage): return optuna.load_study(storage=storage, study_name=name)
        time.sleep(.5)
    raise TimeoutError('no worker made a study')


@pytest.mark.parametrize('where', ['sqlite', 'journal', 'postgres'])
def test_two_workers_one_killed(root, tmp_path, photos, where, request):
    url = request.getfixturevalue(where)
    request.getfixturevalue('sqlite') # removes what is left
    args = [*ARGS, '-p', 'data', f'folder:{photos}', *(['-p', 'storage', url] if url else [])]
    def worker(i):
        call = [str(BIN/'papermill'), 'nbs/run_search.ipynb', str(tmp_path/f'{i}.ipynb'), *args, '--no-progress-bar']
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return subprocess.Popen(call, cwd=root, **quiet)
    papermills = [worker(i) for i in range(2)]
    study = watched(root, url)
    until = time.monotonic() + 120
    while True: # until both have finished a trial, and one of them is in the middle of another
        assert time.monotonic() < until
        trials = study.get_trials(deepcopy=False)
        running = [t for t in trials if t.state == TrialState.RUNNING and t.user_attrs.get('beat')]
        if len({t.user_attrs.get('worker') for t in trials} - {None}) == 2 and running: break
        time.sleep(.05)
    victim = running[0]
    kernel = psutil.Process(int(victim.user_attrs['worker'].split()[1]))
    for p in (psutil.Process(caller(kernel.pid)).parent(), kernel): p.kill()
    codes = sorted(p.wait(200) for p in papermills)
    assert codes == [-9, 0]
    ended = [t for t in study.get_trials(deepcopy=False) if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(ended) == N
    assert study.trials[victim.number].state == TrialState.FAIL
    assert [t.params for t in ended if t.user_attrs.get('retry_of') == victim.number] == [victim.params]
    assert len({str(t.params) for t in ended}) == N # none counted twice
    found = read_run(next((root/'runs'/STUDY).glob('*.json')))['metrics']['trials']
    assert [t['number'] for t in found] == [t.number for t in ended]


def test_a_finished_search_is_made_again_by_other_code(root, papermill, sqlite, photos, tmp_path):
    "As every run is; one that is not finished, or whose trials others share, asks first."
    few = ['-p', 'n_trials', 1, '-p', 'epochs', 1, '-p', 'n_images', 0, '-p', 'study', STUDY,
           '-p', 'data', f'folder:{photos}']
    def search(): return papermill('nbs/run_search.ipynb', tmp_path/'o.ipynb', *few)
    assert search().returncode == 0
    file, = (root/'runs'/STUDY).glob('*.json')
    begun = read_run(file)['metrics']['trials']
    assert search().returncode == 0 and read_run(file)['metrics']['trials'] == begun # the same code: nothing to do
    study, = optuna.get_all_study_names(open_storage('', file.with_suffix('.db')))
    shared = optuna.load_study(storage=open_storage('', file.with_suffix('.db')), study_name=study)
    shared.set_user_attr('code', 'another')
    whole = file.read_text(encoding='utf-8')
    file.unlink() # not finished, for all one can see
    r = search()
    assert r.returncode and 'this search was begun with code another' in r.stderr
    file.write_text(whole.replace(json.loads(whole)['env']['code'], 'another'), encoding='utf-8')
    assert search().returncode == 0
    again = read_run(file)
    assert again['env']['code'] != 'another' and len(again['metrics']['trials']) == 1
