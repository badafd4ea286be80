"A run that is killed goes on from its last epoch and ends with the result it would have had."
import json, signal, subprocess, sys, time
from pathlib import Path
import psutil, pytest, torch

NOTEBOOK = 'nbs/run_experiment.ipynb'
STUDY = '_test_resume'
ARGS = ['-p', 'model', 'cnn5', '-p', 'image_size', '64', '-p', 'n_images', '0',
        '-p', 'epochs', '30', '-p', 'threads', '1', '-p', 'dropout', '0.3',
        '-y', 'units: [16, 8]'] # small layers: a checkpoint after every epoch


@pytest.fixture(autouse=True)
def left_as_found(root):
    yield
    for study in (STUDY, STUDY + '2'):
        for f in (root/'runs'/study).glob('*'): f.unlink()
        if (root/'runs'/study).exists(): (root/'runs'/study).rmdir()


def metrics(folder):
    m = json.loads(next(folder.glob('*.json')).read_text(encoding='utf-8'))['metrics']
    for e in m['history']: del e['seconds']
    return m


def wait_for_epochs(folder, n, process):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, 'ended before it could be killed'
        for f in folder.glob('*.ckpt'):
            if len(torch.load(f, weights_only=True)['history']) >= n: return f
        time.sleep(.05)
    raise TimeoutError('no checkpoint')


def test_sigkill_and_again(root, papermill, photos, tmp_path):
    given = [*ARGS, '-p', 'data', f'folder:{photos}']
    folder = root/'runs'/STUDY
    command = str(Path(sys.executable).parent/'papermill')
    call = [command, NOTEBOOK, str(tmp_path/'a.ipynb'), *given, '-p', 'study', STUDY]
    with open(tmp_path/'log', 'w') as log:
        p = subprocess.Popen(call, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    checkpoint = wait_for_epochs(folder, 2, p)
    family = [*psutil.Process(p.pid).children(recursive=True), p] # the kernel lives in a session of its own
    for q in family: q.send_signal(signal.SIGKILL)
    psutil.wait_procs(family[:-1], timeout=30)
    p.wait()
    assert not list(folder.glob('*.json')), 'it was to be killed before its end'
    done = len(torch.load(checkpoint, weights_only=True)['history'])
    assert 2 <= done < 30, 'it was to be killed in the middle'
    r = papermill(NOTEBOOK, tmp_path/'b.ipynb', *given, '-p', 'study', STUDY, '--log-output')
    assert r.returncode == 0, r.stderr[-3000:]
    assert f'going on after epoch {done}, from ' in r.stderr, 'it began anew'
    r = papermill(NOTEBOOK, tmp_path/'c.ipynb', *given, '-p', 'study', STUDY + '2')
    assert r.returncode == 0, r.stderr[-3000:]
    assert metrics(folder) == metrics(root/'runs'/(STUDY + '2'))
    assert not list(folder.glob('*.ckpt')) and not list(folder.glob('.*.part'))

