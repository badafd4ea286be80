"A folder and `-p model auto`: what is chosen and why, what was said stays, and the same run with every value said."
import json, re, shlex, shutil
import pytest

STUDY = '_test_defaults'


@pytest.fixture(scope='module', autouse=True)
def left_as_found(root):
    yield
    for f in (root/'runs'/STUDY).glob('*'): f.unlink()
    if (root/'runs'/STUDY).exists(): (root/'runs'/STUDY).rmdir()


@pytest.fixture(scope='module')
def auto(papermill, root, tmp_path_factory):
    "Run a notebook with model auto: its JSON, what that holds, and what was printed; or the error."
    def call(notebook, folder, *given):
        out = tmp_path_factory.mktemp('out')/'out.ipynb'
        name = folder if str(folder).startswith('planted:') else f'folder:{folder}'
        r = papermill(f'nbs/{notebook}.ipynb', out, '-p', 'model', 'auto', '-p', 'study', STUDY, '-p', 'threads', 1,
                      '-p', 'data', name, *given)
        if r.returncode: return r.stderr
        shown = [o for c in json.loads(out.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', [])]
        text = ''.join(''.join(o.get('text', o.get('data', {}).get('text/plain', ''))) for o in shown)
        file = root/re.findall(r'result: +(runs/\S+\.json)', text)[-1]
        return file, json.loads(file.read_text(encoding='utf-8')), text
    return call


@pytest.fixture(scope='module')
def graded(auto, photos): return auto('run_experiment', photos, '-p', 'epochs', 2)


@pytest.fixture(scope='module')
def sorted_out(auto, marked): return auto('run_anomaly', marked)


def by_name(run): return {c['name']: c['value'] for c in run['metrics']['chosen']}


def made_again(papermill, file, text, tmp_path):
    "What the printed command makes, which is to be the same file."
    notebook, _, *given = shlex.split(re.search(r'^papermill (nbs/.*)$', text, re.M)[1])
    file.unlink()
    r = papermill(notebook, tmp_path/'again.ipynb', *given)
    assert r.returncode == 0, r.stderr[-2000:]
    return json.loads(file.read_text(encoding='utf-8'))


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


def test_grades_with_every_value_said(graded, papermill, tmp_path):
    file, run, text = graded
    again = made_again(papermill, file, text, tmp_path)
    assert again['params'] == run['params'] and again['metrics']['test'] == run['metrics']['test']
    assert 'chosen' not in again['metrics']


def test_good_parts_and_defects_from_a_folder(sorted_out):
    "Masks beside the classes are no class; no defect is lost to training."
    _, run, text = sorted_out
    got, p, m = by_name(run), run['params'], run['metrics']
    assert p['model'] == 'patches' and p['image_size'] == 128 and p['rate'] == 0 and p['n_seen'] == -1
    assert {k: p[k] for k in got} == got and set(got) >= {'remedy', 'promise', 'n_normal'}
    assert m['n']['train']['anomalous'] == m['n']['left']['anomalous'] == 0
    assert sum(n['anomalous'] for n in m['n'].values()) == 36 and m['normal'] == ['良品'] and m['seen'] == []
    assert any(s.startswith('masks: the place of defects') for s in m['found']) and m['found'][0] in text
    for c in m['chosen']: assert c['why'] in text


def test_good_parts_and_defects_with_every_value_said(sorted_out, papermill, tmp_path):
    file, run, text = sorted_out
    again = made_again(papermill, file, text, tmp_path)
    assert again['params'] == run['params'] and again['metrics']['each'] == run['metrics']['each']


def test_a_value_that_is_the_usual_one_was_said_too(auto, marked):
    _, run, _ = auto('run_anomaly', marked, '-p', 'image_size', 32, '-p', 'promise', 'certain')
    assert run['params']['image_size'] == 32 and not {'image_size', 'promise'} & set(by_name(run))


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


def test_what_can_not_be_meant_is_said(auto, papermill, marked, tmp_path):
    only = tmp_path/'good'
    shutil.copytree(marked/'良品', only/'良品')
    said = 'without any defect nothing can be tested'
    err = auto('run_anomaly', only)
    assert said in err and f'planted:folder:{only}' in err
    r = papermill('nbs/run_anomaly.ipynb', tmp_path/'o.ipynb', '-p', 'data', f'folder:{only}', '-p', 'study', STUDY)
    assert r.returncode and said in r.stderr # explicit runs say it too
    (tmp_path/'outer').mkdir()
    shutil.copytree(marked, tmp_path/'outer'/'写真')
    assert f'Then data is folder:{tmp_path}/outer/写真' in auto('run_experiment', tmp_path/'outer')


def test_planted_defects_where_there_are_none(auto, marked, tmp_path):
    "What the sentence about good parts only points to."
    shutil.copytree(marked/'良品', tmp_path/'only'/'良品')
    _, run, _ = auto('run_anomaly', f"planted:folder:{tmp_path/'only'}")
    assert run['metrics']['kinds'] == ['scratch', 'stain', 'blob']


def test_a_plan_says_its_values(root):
    from inspectkit.studies import checker, defaults
    for notebook in 'nbs/run_experiment.ipynb', 'nbs/run_anomaly.ipynb':
        with pytest.raises(ValueError, match='a plan names its results before'):
            checker(notebook)(defaults(notebook) | dict(model='auto'))
