"A folder and no model: what is chosen and why, what was said stays, and the same run with every value said."
import json, re, shlex, shutil
import pytest
from papermill.cli import _resolve_type
from inspectkit.runs import as_type, run_path
from inspectkit.studies import checker, defaults

STUDY = '_test_defaults'


@pytest.fixture(scope='module', autouse=True)
def left_as_found(root):
    yield
    for f in (root/'runs'/STUDY).glob('*'): f.unlink()
    if (root/'runs'/STUDY).exists(): (root/'runs'/STUDY).rmdir()


@pytest.fixture(scope='module')
def auto(papermill, root, tmp_path_factory):
    "Run a notebook as an engineer does: its JSON, what that holds, and what was printed; or the error."
    def call(notebook, folder, *given):
        out = tmp_path_factory.mktemp('out')/'out.ipynb'
        name = folder if str(folder).startswith('planted:') else f'folder:{folder}'
        r = papermill(f'nbs/{notebook}.ipynb', out, '-p', 'study', STUDY, '-p', 'threads', 1, '-p', 'data', name,
                      *given)
        if r.returncode: return r.stderr
        shown = [o for c in json.loads(out.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', [])]
        text = ''.join(''.join(o.get('text', o.get('data', {}).get('text/plain', ''))) for o in shown)
        file = root/re.findall(r'result: +(runs/\S+\.json)', text)[-1]
        return file, json.loads(file.read_text(encoding='utf-8')), text
    return call


@pytest.fixture(scope='module')
def graded(auto, photos): return auto('run_experiment', photos, '-p', 'epochs', 2)


@pytest.fixture(scope='module')
def sorted_out(auto, marked): return auto('run_anomaly', marked, '-p', 'n_normal', 0) # 0 is what the cell has


def by_name(run): return {c['name']: c['value'] for c in run['metrics']['chosen']}


def said(text):
    "The parameters of the run that the printed command makes."
    notebook, _, *given = shlex.split(re.search(r'^papermill (nbs/.*)$', text, re.M)[1])
    base, new = defaults(notebook), {}
    assert set(given[::3]) <= {'-p', '-r'}
    for flag, name, value in zip(given[::3], given[1::3], given[2::3]):
        new[name] = value if flag == '-r' else _resolve_type(value) # as papermill reads them
    return base | {k: as_type(k, v, type(base[k])) for k, v in new.items()}


def test_grades_from_a_folder(graded):
    "Two passes were said; the rest is chosen, recorded and shown."
    _, run, text = graded
    got, p = by_name(run), run['params']
    assert p['model'] == got['model'] == 'efficientnet_lite0' and p['weights'] == got['weights'] == 'imagenet'
    assert 'epochs' not in got and p['epochs'] == 2 and got['cooldown'] == 1 # what was said stays, the rest fits it
    assert {k: p[k] for k in got} == got and p['image_size'] == 96 and p['n_images'] == 0
    assert run['metrics']['found'][0].startswith('72 images in 3 classes: blob 24, scratch 24, 良品 24; 64 by 64')
    for s in run['metrics']['found']: assert s in text
    for c in run['metrics']['chosen']: assert c['why'] and c['why'] in text


def test_the_printed_command_is_the_same_run(graded, sorted_out):
    "So nothing is left to be chosen when it is typed, and its result has the same name."
    for file, run, text in graded, sorted_out:
        assert said(text) == run['params'] and run_path(said(text)) == file


def test_good_parts_and_defects_from_a_folder(sorted_out):
    "Masks beside the classes are no class; no defect is lost to training."
    _, run, text = sorted_out
    got, p, m = by_name(run), run['params'], run['metrics']
    assert p['model'] == 'patches' and p['image_size'] == 128 and 'n_normal' not in got # said, though as usual
    assert p['rate'] == 0 and p['n_seen'] == -1
    assert {k: p[k] for k in got} == got and set(got) >= {'remedy', 'promise', 'image_size'}
    assert m['n']['train']['anomalous'] == m['n']['left']['anomalous'] == 0
    assert sum(n['anomalous'] for n in m['n'].values()) == 36 and m['normal'] == ['良品'] and m['seen'] == []
    assert any(s.startswith('masks: the place of defects') for s in m['found']) and m['found'][0] in text
    for c in m['chosen']: assert c['why'] in text


def test_five_defects_are_all_for_limit_and_test(auto, marked, tmp_path):
    top = tmp_path/'五 個'
    shutil.copytree(marked/'良品', top/'良品')
    for f in sorted((marked/'scratch').glob('*'))[:3] + sorted((marked/'blob').glob('*'))[:2]:
        (top/f.parent.name/'朝').mkdir(parents=True, exist_ok=True) # deeper folders are searched
        shutil.copy(f, top/f.parent.name/'朝')
    marked_one = next((top/'blob'/'朝').iterdir()).relative_to(top).as_posix()
    (top/'boxes.csv').write_text(f'image,left,upper,right,lower\n{marked_one},4,4,20,20\n', encoding='utf-8')
    _, run, _ = auto('run_anomaly', top)
    n = run['metrics']['n']
    assert (n['calibrate']['anomalous'], n['test']['anomalous']) == (3, 2)
    assert 'Too few defects' in run['metrics']['promise']['texts'][0]
    assert 'class blob has 2 different images that can be used, and 3 are the fewest' in auto('run_experiment', top)


def test_nothing_but_good_parts(auto, marked, tmp_path):
    "Some get a defect, and it is said that the numbers are about those; grading has nothing to tell apart."
    top = tmp_path/'only'
    shutil.copytree(marked/'良品', top/'良品')
    file, run, text = auto('run_anomaly', top, '-p', 'image_size', 64)
    assert run['params']['data'] == f'few:folder:{top}' and run['metrics']['kinds'] == ['scratch', 'stain', 'blob']
    assert 'no defects found: its one folder, 良品, is taken as good parts; scratches, stains and blobs' in text
    assert 'The numbers are about these and not about real defects' in run['metrics']['found'][0]
    n = run['metrics']['n']
    assert n['train']['anomalous'] == 0 and sum(m['anomalous'] for m in n.values()) == 3
    assert f'Good parts only? run_anomaly -p data folder:{top}' in auto('run_experiment', top)


def test_a_plan_says_its_values(root):
    for notebook in 'nbs/run_experiment.ipynb', 'nbs/run_anomaly.ipynb':
        with pytest.raises(ValueError, match='a plan names its results before'):
            checker(notebook)(defaults(notebook) | dict(model='auto'))
