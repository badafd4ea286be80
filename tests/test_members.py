"Networks that are alike but for their seeds: finished ones are kept, one command goes on, errors come at once."
import json, signal, subprocess, sys, time
from pathlib import Path
import numpy as np, psutil, pytest


def members(papermill, root, photos, out, *given):
    r = papermill('nbs/run_members.ipynb', out/'members.ipynb', '-p', 'study', '_members', '-p', 'data',
                  f'folder:{photos}', '-p', 'n_images', '0', '-p', 'epochs', '1', '-p', 'colours', '0.5', '-p',
                  'cutout', '0.25', '-p', 'flip', '0.5', '-p', 'mix', 'cutmix', '-p', 'image_size', '32', '-p',
                  'upsample', '64', *given)
    assert r.returncode == 0, r.stderr[-2000:]
    text = ''.join(''.join(o['text']) for c in json.loads((out/'members.ipynb').read_text(encoding='utf-8'))['cells']
                   for o in c.get('outputs', []) if o['output_type'] == 'stream')
    name = text.rsplit('result: ', 1)[1].strip()
    with np.load((root/name).with_suffix('.npz'), allow_pickle=False) as f:
        calls = {k: v.tolist() for k, v in f.items()}
    return json.loads((root/name).read_text(encoding='utf-8'))['metrics'] | calls, text


def test_finished_members_stay(papermill, root, photos, tmp_path):
    "Two members that enlarge their images, then three: only the third is trained, and the first two say the same."
    try:
        two, text = members(papermill, root, photos, tmp_path, '-p', 'members', '2')
        assert 'member 0:' in text and 'member 1:' in text
        three, text = members(papermill, root, photos, tmp_path, '-p', 'members', '3')
        assert '2 of 3 members were there' in text and 'member 2:' in text
        assert 'member 1: ' not in text.split('accuracy')[0], 'it was trained again'
        assert three['pred'][:2] == two['pred'] and three['history'][:2] == two['history'] and three['y'] == two['y']
        assert len(three['pred']) == 3 and [len(a) for a in three['by_k']] == [3, 3, 1] and len(three['disagree']) == 3
        assert three['history'][0] != three['history'][1], 'members are not alike'
        assert three['test']['accuracy'] == pytest.approx(three['by_k'][2][0], abs=1e-4)
        assert len(three['doubt']) == 4 and all(len(h['train_loss']) == 1 for h in three['history'])
        assert len(three['payers']) == 3 and three['payers'][0]['classes'] == 3
        assert sum(three['n']['train']) + sum(three['n']['val']) + sum(three['n']['test']) == 72
    finally:
        for f in (root/'runs'/'_members').glob('*'): f.unlink()


def test_two_processes_share(papermill, root, photos, tmp_path):
    "The same command twice at once: each member is trained by one of the two, and both end with the same result."
    given = ['-p', 'study', '_members_share', '-p', 'data', f'folder:{photos}', '-p', 'n_images', '0', '-p', 'epochs',
             '4', '-p', 'members', '4', '-p', 'threads', '1', '--log-output']
    line = [str(Path(sys.executable).parent/'papermill'), 'nbs/run_members.ipynb']
    try:
        both = [subprocess.Popen([*line, str(tmp_path/f'{i}.ipynb'), *given], cwd=root, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for i in range(2)]
        said = [p.communicate(timeout=300)[0] for p in both]
        assert [p.returncode for p in both] == [0, 0], '\n'.join(text[-2000:] for text in said)
        trained = sorted(line.split(':')[0] for text in said for line in text.splitlines()
                         if line.startswith('member ') and 'of 15 test images' in line)
        assert trained == [f'member {i}' for i in range(4)], 'each is trained once'
        file, = (root/'runs'/'_members_share').glob('*.json')
        assert len(json.loads(file.read_text(encoding='utf-8'))['metrics']['members']) == 4
        assert not list((root/'runs'/'_members_share').glob('*.lock'))
    finally:
        for f in (root/'runs'/'_members_share').glob('*'): f.unlink()


def test_killed_in_fine_tuning(papermill, root, photos, tmp_path):
    "Burn-in, then fine-tuning, where it is killed: it goes on there, and ends as one that nobody disturbed."
    given = ['-p', 'model', 'efficientnet_lite0', '-p', 'weights', 'imagenet', '-p', 'burnin', '2', '-p', 'members',
             '1', '-p', 'epochs', '6', '-p', 'threads', '1', '-p', 'data', f'folder:{photos}', '-p', 'n_images', '0']
    def call(name, study): return ['nbs/run_members.ipynb', tmp_path/f'{name}.ipynb', *given, '-p', 'study', study]
    try:
        line = [str(Path(sys.executable).parent/'papermill'), *map(str, call('a', '_members_kill'))]
        p = subprocess.Popen(line, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 120
        while not list((root/'runs'/'_members_kill').glob('*.member0.ckpt')): # written after its first epoch
            assert p.poll() is None and time.monotonic() < until
            time.sleep(.02)
        for q in [*psutil.Process(p.pid).children(recursive=True), p]: q.send_signal(signal.SIGKILL)
        p.wait()
        assert not list((root/'runs'/'_members_kill').glob('*.json')), 'it was to be killed before its end'
        ended = {}
        for study in '_members_kill', '_members_calm':
            r = papermill(*call('b', study), '--log-output')
            assert r.returncode == 0, r.stderr[-2000:]
            assert r.stderr.count('going on after epoch') == 2*(study == '_members_kill') # of burn-in, of fine-tuning
            file, = (root/'runs'/study).glob('*.json')
            ended[study] = json.loads(file.read_text(encoding='utf-8'))['metrics']
            assert len(ended[study]['history'][0]['val']) == 2 + 6 and not list((root/'runs'/study).glob('*.ckpt'))
        assert ended['_members_kill'] == ended['_members_calm']
    finally:
        for study in '_members_kill', '_members_calm':
            for f in (root/'runs'/study).glob('*'): f.unlink()


@pytest.mark.parametrize('given, message', [
    (['-p', 'balance', 'smote'], "balance='smote' is not one of none, oversample, weights, focal"),
    (['-p', 'tail', '0.5'], 'tail=0.5 must be'),
    (['-p', 'balance', 'focal', '-p', 'mix', 'mixup'], "mix='mixup' is not one of none"),
    (['-p', 'burnin', '3'], 'burnin=3 must be'),
    (['-p', 'official', 'True'], 'has none'),
    (['-p', 'member', '3'], 'member')])
def test_wrong_values(papermill, photos, tmp_path, given, message):
    r = papermill('nbs/run_members.ipynb', tmp_path/'out.ipynb', '-p', 'study', '_members', '-p', 'data',
                  f'folder:{photos}', *given)
    assert r.returncode and message in r.stderr, r.stderr[-1500:]
