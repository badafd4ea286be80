"The run notebook as people call it: `papermill nbs/run_experiment.ipynb ... -p name value`."
import json, re, time
import pytest

NOTEBOOK = 'nbs/run_experiment.ipynb'
STUDY = '_test_cli'
SMALL = ['-p', 'image_size', 64, '-p', 'n_images', 80, '-p', 'epochs', 2, '-p', 'study', STUDY] # threads: by itself


@pytest.fixture(scope='module', autouse=True)
def left_as_found(root):
    yield
    for f in (root/'runs'/STUDY).glob('*'): f.unlink()
    if (root/'runs'/STUDY).exists(): (root/'runs'/STUDY).rmdir()


def result(root, text):
    f = root/re.findall(r'result: +(runs/\S+\.json)', text)[-1]
    return f, json.loads(f.read_text(encoding='utf-8'))


def same(run):
    "The metrics without what a clock measured."
    m = json.loads(json.dumps(run['metrics']))
    for e in m['history']: del e['seconds']
    return m


@pytest.fixture(scope='module')
def first(papermill, root, tmp_path_factory):
    out = tmp_path_factory.mktemp('out')/'{model}.ipynb'
    r = papermill(NOTEBOOK, out, '-p', 'model', 'cnn5', *SMALL)
    assert r.returncode == 0, r.stderr[-3000:]
    nb = json.loads(out.with_name('cnn5.ipynb').read_text(encoding='utf-8'))
    text = ''.join(''.join(o.get('text', '')) for c in nb['cells'] for o in c.get('outputs', []))
    return nb, *result(root, text)


def test_the_json_holds_all_of_it(first, root):
    _, file, run = first
    assert file.parent == root/'runs'/STUDY and file.stat().st_size < 300_000
    assert run['params']['n_images'] == 80 and run['params']['model'] == 'cnn5'
    env, m = run['env'], run['metrics']
    assert {'commit', 'dirty', 'versions', 'cpu', 'device', 'precision', 'threads', 'seconds', 'data'} <= set(env)
    assert set(env['seconds']) == {'read', 'train', 'score'}
    assert env['data']['n'] == 80 and [sum(env['data'][k]) for k in ('train', 'val', 'test')] == [51, 13, 16]
    assert len(m['history']) == 2
    assert set(m['history'][0]) == {'train_loss', 'train_accuracy', 'val_loss', 'val_accuracy', 'seconds'}
    assert len(m['predictions']['path']) == 16 and all(abs(sum(p) - 1) < 1e-3 for p in m['predictions']['prob'])
    p = m['predictions']
    assert all(prob[k] > max(prob) - 1e-3 for prob, k in zip(p['prob'], p['pred'])) # rounded, two may tie
    right = sum(k == y for k, y in zip(p['pred'], p['y']))
    assert right == m['test']['correct'] == sum(m['test']['confusion'][i][i] for i in range(4))
    assert m['test']['accuracy_ci'][0] < m['test']['accuracy'] < m['test']['accuracy_ci'][1]


def test_the_weights_lie_beside_it(first):
    from safetensors import safe_open
    _, file, run = first
    with safe_open(file.with_suffix('.safetensors'), 'pt') as f:
        assert f.metadata()['model'] == 'cnn5' and f.metadata()['classes'].split('\n') == list('0123')
        buffers = ('running_mean', 'running_var', 'num_batches_tracked')
        assert sum(f.get_tensor(k).numel() for k in f.keys() if not k.endswith(buffers)) == 6_256_135
    assert not file.with_suffix('.ckpt').exists()


def test_the_executed_notebook_shows_it(first):
    pictures = [o for c in first[0]['cells'] for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]
    assert len(pictures) == 3 # learning curves, confusion matrix, worst mistakes


def test_twice_the_same_from_another_folder_on_a_pipe(first, papermill, root, tmp_path):
    "As the design has it: no output named, standard output a pipe, another working folder."
    _, file, run = first
    before = file.stat().st_mtime_ns
    r = papermill(root/NOTEBOOK, '-p', 'model', 'cnn5', *SMALL, cwd=tmp_path)
    assert r.returncode == 0, r.stderr[-3000:]
    again = json.loads(file.read_text(encoding='utf-8'))
    assert file.stat().st_mtime_ns > before and same(again) == same(run)
    assert json.loads(r.stdout)['cells'] # the executed notebook went down the pipe


WRONG = [ # to Papermill itself: a name, a place, and what the shell makes of a value
    (['-p', 'modle', 'alexnet'], "no parameter is called 'modle'; there are model, data"),
    (['-p', 'data', 'epvl'], "data='epvl' is not one of elpv, textile, elpv-mono, elpv-poly, "),
    (['-p', 'data', 'folder:/nowhere/at all'], 'there is no folder /nowhere/at all'),
    (['-p', 'epochs', 'many'], "epochs='many' is str, needs int"),
    (['-p', 'lr', 'nan'], 'lr=nan is not a finite number'),
    (['-p', 'dropout', '[0.1, 0.2]'], "a list: -y 'dropout: [...]'"),
    (['-p', 'study', '2026'], 'as text: -r study 2026'),
    (['-p', 'study', '../etc'], "study='../etc' is to name a file or folder")]


@pytest.mark.parametrize('args, message', WRONG, ids=[f'{a[1]}={a[2]}' for a, _ in WRONG])
def test_wrong_values_fail_at_once(papermill, tmp_path, args, message):
    start = time.monotonic()
    r = papermill(NOTEBOOK, tmp_path/'o.ipynb', *args)
    assert r.returncode != 0 and message in r.stderr, r.stderr[-2000:]
    assert time.monotonic() - start < 20 # ten on a quiet machine
    cells = json.loads((tmp_path/'o.ipynb').read_text(encoding='utf-8'))['cells']
    ran = [c['execution_count'] for c in cells if 'history = fit(' in ''.join(c['source'])]
    assert ran == [None], 'it trained first'


@pytest.mark.parametrize('args, message', [
    (['-p', 'model', 'alexnett'], "model='alexnett' is not one of cnn5, alexnet, resnet18, efficientnet_lite0"),
    (['-p', 'weights', 'imagenet'], "weights='imagenet' can't be had for cnn5"),
    (['-p', 'epochs', '0'], 'epochs=0 must be at least 1'),
    (['-p', 'fold', '5'], 'fold=5 must be from 0 to 4'),
    (['-p', 'image_size', '8'], 'image_size=8 must be from 64 to 1024'),
    (['-p', 'optimizer', 'adamm'], "optimizer='adamm' is not one of"),
    (['-p', 'precision', 'fp16'], "precision='fp16' is not one of auto, bf16, fp32"),
    (['-p', 'device', 'gpu'], "device='gpu' is not one of auto, cpu, cuda"),
    (['-p', 'dropout', '1.5'], 'dropout=[1.5] of cnn5 needs 1 or 2 rates'),
    (['-p', 'momentum', '0.9'], 'momentum=0.9 is of sgd and rmsprop, adam has none'),
    (['-p', 'seed', '5000000000'], 'seed=5000000000 must be from 0 to 4294967295'),
    (['-p', 'scale_max', '0.05'], 'scale_max=0.05 must be from 0.1 to 10')])
def test_wrong_values_are_named(refusal, args, message):
    assert message in refusal(NOTEBOOK, '-p', 'model', 'cnn5', *args)


def test_right_values_are_not(refusal): assert refusal(NOTEBOOK, '-p', 'model', 'cnn5') == ''


def test_help_describes_every_parameter(papermill, root):
    from inspectkit.studies import defaults
    r = papermill(NOTEBOOK, '--help-notebook')
    for name in defaults(NOTEBOOK):
        described = re.search(rf'^  {name}: \w+ \(default .+\)\s+\S+ \S+', r.stdout, re.M)
        assert described, f'{name} is not described:\n{r.stdout}'


def test_a_folder_of_photographs(papermill, photos, root, tmp_path):
    import shutil
    own = tmp_path/'検査 画像' # the other is read by other tests too
    shutil.copytree(photos, own)
    (own/'良品'/'途中まで.jpg').write_bytes(b'\xff\xd8\xff\xe0 half a file')
    asked = ['-p', 'data', f'folder:{own}', '-p', 'model', 'resnet18', *SMALL]
    r = papermill(NOTEBOOK, tmp_path/'o.ipynb', *asked, '--log-output')
    assert r.returncode == 0, r.stderr[-3000:]
    run = result(root, r.stderr)[1]
    assert run['env']['data']['classes'] == ['blob', 'scratch', '良品'] and run['env']['data']['n'] == 72
    assert run['env']['data']['audit'] == {'skipped': {'truncated or damaged': 1}}


def test_too_few_of_a_class(papermill, photos, tmp_path):
    import shutil
    few = tmp_path/'few'
    shutil.copytree(photos, few)
    for f in sorted((few/'blob').iterdir())[5:]: f.unlink()
    r = papermill(NOTEBOOK, tmp_path/'o.ipynb', '-p', 'data', f'folder:{few}', '-p', 'model', 'cnn5', *SMALL)
    message = 'class blob has 4 different images for folds=5: use folds=4 or less, or add images'
    assert r.returncode != 0 and message in r.stderr


def test_grades_in_an_order_of_their_own(papermill, root, photos, tmp_path):
    "Folders that are grades, from light to severe, for a loss that knows it: their names are given as a list."
    given = ['-p', 'data', f'folder:{photos}', '-p', 'model', 'cnn5', '-p', 'loss', 'sord', *SMALL, '-p', 'epochs', 1,
             '-p', 'n_images', 0]
    names = sorted((f.name for f in photos.iterdir()), reverse=True)
    r = papermill(NOTEBOOK, tmp_path/'a.ipynb', *given)
    assert r.returncode and "-y 'classes: [..., ...]'" in r.stderr
    r = papermill(NOTEBOOK, tmp_path/'a.ipynb', *given, '-y', json.dumps(dict(classes=names)), '--log-output')
    assert r.returncode == 0, r.stderr[-3000:]
    assert result(root, r.stderr)[1]['env']['data']['classes'] == names


def test_where_the_smallest_example_of_the_readme_looked(first, papermill, root, tmp_path):
    "A set whose defects nobody marked: maps all the same, and no number that would need their place."
    asked = ['-p', 'run', first[1], '-p', 'study', STUDY, '--log-output']
    r = papermill('nbs/run_explain.ipynb', tmp_path/'e.ipynb', *asked)
    assert r.returncode == 0, r.stderr[-3000:]
    m = result(root, r.stderr)[1]['metrics']
    assert m['n'] == 16 and m['path'] == first[2]['metrics']['predictions']['path'] and set(m['each']['mass']) == {None}
