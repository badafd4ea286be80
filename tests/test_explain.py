"Maps of a trained network: from a folder with masks to one JSON, and what is refused on the way."
import json
import numpy as np, pytest, torch
from inspectkit.cam import on_image

TINY = ('-p', 'study', '_explain', '-p', 'model', 'cnn5', '-p', 'image_size', 64, '-p', 'n_images', 0, '-p', 'folds', 2,
        '-p', 'epochs', 1, '-p', 'test_parts', 2)


def made(root, before):
    new = set((root/'runs'/'_explain').glob('*.json')) - before
    return new.pop()


def test_from_a_folder_to_maps(papermill, root, marked, tmp_path):
    there = set((root/'runs'/'_explain').glob('*.json'))
    r = papermill('nbs/run_experiment.ipynb', tmp_path/'train.ipynb', '-p', 'data', f'folder:{marked}', *TINY)
    assert r.returncode == 0, r.stderr[-2000:]
    trained = made(root, there)
    explain = 'nbs/run_explain.ipynb', tmp_path/'explain.ipynb', '-p', 'study', '_explain', '-p', 'run', trained
    r = papermill(*explain)
    assert r.returncode == 0, r.stderr[-2000:]
    result = made(root, there | {trained})
    run = json.loads(result.read_text(encoding='utf-8'))
    m, test = run['metrics'], json.loads(trained.read_text(encoding='utf-8'))['metrics']['predictions']
    assert run['params']['model'] == 'cnn5' and m['path'] == test['path'] and m['pred'] == test['pred']
    good = [k == m['classes'].index('良品') for k in m['y']]
    assert [a == 0 for a in m['each']['area']] == good # a mask for each defect, none for what is good
    assert all(v is None for v, g in zip(m['each']['mass'], good) if g)
    assert run['env']['data']['truth'] == {'no defect known': sum(good)}
    kept = np.load(result.with_suffix('.npz'), allow_pickle=False)
    top = on_image(torch.from_numpy(kept['attr']).float(), (64, 64)).flatten(1)
    said = top.gather(1, torch.tensor(m['highest'])[:, None])[:, 0]
    assert (said >= .99*top.amax(1)).all() and top.amax(1).max() > 0 # kept with three digits
    assert len(kept['attr']) == m['n'] and result.with_suffix('.npz').stat().st_size < 200_000

    trained.with_suffix('.safetensors').unlink()
    r = papermill(*explain)
    assert r.returncode and 'this makes them again: papermill nbs/run_experiment.ipynb' in r.stderr
    for f in result, result.with_suffix('.npz'), trained: f.unlink()


def test_a_folder_where_nobody_marked_the_defects(papermill, root, photos, tmp_path):
    "The maps are made and asked all the same; what would need the place of the defects is left empty."
    there = set((root/'runs'/'_explain').glob('*.json'))
    r = papermill('nbs/run_experiment.ipynb', tmp_path/'train.ipynb', '-p', 'data', f'folder:{photos}', *TINY)
    assert r.returncode == 0, r.stderr[-2000:]
    trained = made(root, there)
    out = tmp_path/'explain.ipynb'
    r = papermill('nbs/run_explain.ipynb', out, '-p', 'study', '_explain', '-p', 'run', trained)
    assert r.returncode == 0, r.stderr[-2000:]
    result = made(root, there | {trained})
    m = json.loads(result.read_text(encoding='utf-8'))['metrics']
    usable = m['flaw'].count('')
    assert usable and m['faithful']['n'] == min(16, usable) and m['random'] and set(m['each']['mass']) == {None}
    shown = json.loads(out.read_text(encoding='utf-8'))['cells']
    assert any('image/png' in o.get('data', {}) for c in shown for o in c.get('outputs', []))
    for f in result, result.with_suffix('.npz'), trained, trained.with_suffix('.safetensors'): f.unlink()


def test_an_anomaly_score_has_no_class_to_explain(papermill, tmp_path):
    (tmp_path/'patches.json').write_text('{"params": {"model": "patches"}, "env": {}, "metrics": {"history": []}}')
    r = papermill('nbs/run_explain.ipynb', tmp_path/'out.ipynb', '-p', 'run', tmp_path/'patches.json')
    assert r.returncode and 'trained no classifier' in r.stderr and 'run_inspect' in r.stderr, r.stderr[-1500:]


@pytest.mark.parametrize('given, message', [
    (['-p', 'run', 'runs/_explain/nothing.json'], 'there is no file'),
    (['-p', 'target', 'predict'], "target='predict' is not one of label, predicted"),
    (['-p', 'layer', 'layer4'], "layer='layer4' is not in the network"),
    (['-p', 'data', 'elpv'], 'data=planted:elpv plants some')])
def test_refused(papermill, tmp_path, given, message):
    r = papermill('nbs/run_explain.ipynb', tmp_path/'out.ipynb', '-p', 'study', '_explain', *given)
    assert r.returncode and message in r.stderr, r.stderr[-1500:]
