"Good parts and five defects: from a folder to scores and a limit, and what is refused on the way."
import json
import numpy as np, pytest, torch
from PIL import Image
from inspectkit.synthetic import parts, surface

TINY = ('-p', 'study', '_anomaly', '-p', 'epochs', 2, '-p', 'width', 8, '-p', 'latent', 4, '-p', 'threads', 1)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "80 good parts and five defects of two kinds under Japanese names; one file is cut off, one is there twice."
    top = tmp_path_factory.mktemp('検査')/'部品 写真'
    x, y, _ = parts(16, 64, seed=1)
    good = surface(80, 64, torch.Generator().manual_seed(0))
    named = [(f'良品/{i:02}.png', g) for i, g in enumerate(good)]
    named += [(f'きず Ａ/{i}.png', x[i]) for i in torch.where(y == 1)[0][:3]]
    named += [(f'汚れ/{i}.png', x[i]) for i in torch.where(y == 2)[0][:2]]
    for name, image in named:
        (top/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255*image[0]).byte().numpy()).save(top/name)
    (top/'良品'/'途中.png').write_bytes((top/'良品'/'00.png').read_bytes()[:200])
    (top/'良品'/'写し.png').write_bytes((top/'良品'/'01.png').read_bytes())
    return top


def made(root, before):
    new = set((root/'runs'/'_anomaly').glob('*.json')) - before
    return new.pop()


def test_five_defects(papermill, root, folder, tmp_path):
    there = set((root/'runs'/'_anomaly').glob('*.json'))
    run = 'nbs/run_anomaly.ipynb', tmp_path/'out.ipynb', '-p', 'data', f'folder:{folder}', '-p', 'model', 'aae', *TINY
    r = papermill(*run, '-p', 'rate', .02, '-p', 'sheet', 2)
    assert r.returncode == 0, r.stderr[-2000:]
    result = made(root, there)
    saved = json.loads(result.read_text(encoding='utf-8'))
    m = saved['metrics']
    assert m['normal'] == ['良品'] and m['kinds'] == ['きず Ａ', '汚れ'] # which is normal, it found by itself
    assert sum(n['normal'] for n in m['n'].values()) == 81 and sum(n['anomalous'] for n in m['n'].values()) == 5
    assert m['n']['train']['anomalous'] == 1
    assert saved['env']['data']['audit'] == {'duplicate': {'same pixels': 1}, 'skipped': {'truncated or damaged': 1}}
    assert m['promise']['texts'][0].startswith('Too few defects: for at most 5 % with 95 % certainty 59 are needed')
    assert m['promise']['limits']['miss'] is None
    happened = m['promise']['happened'] # without a limit for defects nothing is called good without a look
    assert happened['normal'][0] == happened['anomalous'][0] == 0
    assert len(m['each']['t2']) == len(m['kind']) == len(m['path']) == len(m['test'])
    kept = np.load(result.with_suffix('.npz'), allow_pickle=False)
    assert kept['pictures'].shape[0] == 12 and len(kept['z']) == len(m['kind'])
    for f in result, result.with_suffix('.npz'): f.unlink()


def test_labels_and_costs(papermill, root, folder, tmp_path):
    "Deep SAD told which are defects, and what an escape costs: with two defects left a sentence, and all to a person."
    there = root/'runs'/'_labelled' # of its own, for tests run side by side
    for f in there.glob('deep_sad-*'): f.unlink()
    out = tmp_path/'out.ipynb'
    r = papermill('nbs/run_anomaly.ipynb', out, *TINY[3:], '-p', 'study', '_labelled', '-p', 'epochs', 1,
                  '-p', 'data', f'folder:{folder}', '-p', 'model', 'deep_sad', '-p', 'labelled', True,
                  '-p', 'rate', .02, '-p', 'pretrain', 1, '-p', 'escape_cost', 1000.)
    assert r.returncode == 0, r.stderr[-2000:]
    result, = there.glob('deep_sad-*.json')
    m = json.loads(result.read_text(encoding='utf-8'))['metrics']
    for f in there.glob('deep_sad-*'): f.unlink()
    assert m['main'] == 'distance' and m['n']['train']['anomalous'] > 0
    by = m['promise']['by_cost']
    assert by['threshold'] is None and by['bound'] == by['dull'] == .99 # all called defects; 1 of 100 is one
    assert by['text'].startswith('Too few defects: to show, with 95 % certainty, that a threshold costs less than 0.99')
    assert f"there are {m['n']['calibrate']['anomalous']}. " in by['text']
    assert by['text'] in out.read_text(encoding='utf-8') # the page prints it
    for name in 'normal', 'anomalous': assert sum(by['happened'][name]) == m['n']['test'][name]


@pytest.mark.parametrize('given, message', [
    (['-p', 'model', 'gan'], "model='gan' is not one of ae, vae, aae, deep_sad, patches"),
    (['-p', 'labelled', 'True'], 'aae uses no labels'),
    (['-p', 'image_size', 36], "can't be halved 3 times"),
    (['-p', 'normal', 'fine'], 'fine is no class of elpv-mono; there are 0, 1, 2, 3'),
    (['-p', 'data', 'neu-det'], "data='neu-det' is not one of"),
    (['-p', 'official', 'True'], 'this set has no such split')])
def test_refused(papermill, tmp_path, given, message):
    r = papermill('nbs/run_anomaly.ipynb', tmp_path/'out.ipynb', '-p', 'study', '_anomaly', *given)
    assert r.returncode and message in r.stderr, r.stderr[-1500:]
