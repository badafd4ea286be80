"The audit of a folder: what is wrong with it is found, said and listed; a folder without images is refused."
import json, shutil
import pandas as pd, pytest, torch
from PIL import Image
from inspectkit.synthetic import parts, surface


def made(papermill, root, folder, out):
    "Run the audit of a folder; its JSON, the list and the groups."
    there = set((root/'runs'/'_audit').glob('*.json'))
    r = papermill('nbs/run_audit.ipynb', out/'audit.ipynb', '-p', 'study', '_audit', '-p', 'data', f'folder:{folder}')
    assert r.returncode == 0, r.stderr[-2000:]
    new = (set((root/'runs'/'_audit').glob('*.json')) - there).pop()
    tables = [pd.read_csv(new.with_suffix(s)) for s in ('.csv', '.groups.csv')]
    run = json.loads(new.read_text(encoding='utf-8'))
    for s in ('.json', '.csv', '.groups.csv'): new.with_suffix(s).unlink()
    return run, *tables


def save(img, f, **kw):
    f.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255*img[0]).byte().numpy()).save(f, **kw)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "Good parts, scratched ones under JPEG, one part in a class of its own, an empty class, and all that goes wrong."
    top = tmp_path_factory.mktemp('検査')/'部品 写真'
    x, y, _ = parts(120, 96, seed=3)
    good, bad = x[y == 0], x[y > 0][:40]
    for i, img in enumerate(good): save(img, top/'良品'/f'{i:02}.png')
    for i, img in enumerate(bad): save(1 - img, top/'欠陥 Ａ'/f'{i:02}.jpg', quality=90)
    save(bad[0], top/'一つ'/'0.png')
    (top/'空').mkdir()
    shutil.copy(top/'良品'/'00.png', top/'良品'/'copy.png') # the same pixels
    save(good[1].flip(2), top/'良品'/'turned.jpg', quality=60) # a near duplicate
    save(good[2].flip(1), top/'欠陥 Ａ'/'mistaken.jpg', quality=80) # one part, two labels
    save(good[20], top/'欠陥 Ａ'/'99.jpg')
    (top/'良品'/'20.png').unlink() # a good one among the bad: a wrong label
    whole = (top/'欠陥 Ａ'/'05.jpg').read_bytes()
    (top/'欠陥 Ａ'/'cut.jpg').write_bytes(whole[:len(whole)//2])
    (top/'良品'/'empty.png').touch()
    return top


def test_all_that_is_wrong_is_found(papermill, root, folder, tmp_path):
    run, found, groups = made(papermill, root, folder, tmp_path)
    m, said = run['metrics'], ' '.join(run['metrics']['sentences'])
    assert m['images'] == [1, 42, 0, 31] and dict(zip(m['classes'], m['groups']))['空'] == 0
    def rows(what): return found[found.what == what]
    assert set(rows('unusable class').label) == {'一つ', '空'}
    assert 'Class 空 has no image that can be used.' in said and 'Class 一つ has 1 image.' in said
    assert set(rows('skipped').path) == {'欠陥 Ａ/cut.jpg', '良品/empty.png'}
    assert '2 files skipped' in said and 'truncated' in said
    pairs = {frozenset((r.path.split('/')[-1], r.detail.split('/')[-1])): r.what for r in found.itertuples()
             if r.what in ('copies', 'two labels')}
    assert pairs[frozenset(('00.png', 'copy.png'))] == 'copies'
    assert pairs[frozenset(('01.png', 'turned.jpg'))] == 'copies'
    assert pairs[frozenset(('02.png', 'mistaken.jpg'))] == 'two labels'
    assert 'brightness' in set(rows('shortcut').detail) and 'format' in set(rows('size or format').detail)
    assert '欠陥 Ａ/99.jpg' in set(rows('label').path)
    order = list(dict.fromkeys(found.what))
    assert order == [w for w in ('unusable class', 'size or format', 'two labels', 'skipped', 'label', 'shortcut',
                                 'few images', 'copies', 'converted') if w in order]
    number = groups.set_index('path').group
    assert number['良品/02.png'] == number['欠陥 Ａ/mistaken.jpg'] and number['良品/01.png'] == number['良品/turned.jpg']
    assert len(groups) == m['n'] and groups.group.nunique() == m['n_groups'] == m['n'] - 3
    assert said.startswith('74 images of 3 classes read: 71, if copies') and 'To fix first: unusable class, 一つ' in said


def test_only_good_ones(papermill, root, tmp_path):
    "A folder of one class: there is nothing to tell apart, and that is no error."
    x = parts(120, 96, seed=4)[0]
    for i in range(30): save(x[i], tmp_path/'only good'/'良品'/f'{i}.png')
    run, found, groups = made(papermill, root, tmp_path/'only good', tmp_path)
    m = run['metrics']
    assert m['shortcuts'] == [] and m['labels'] is None and not len(found) and m['n_groups'] == len(groups) == 30
    assert m['sentences'] == ['30 images of 1 class read.', 'Nothing was found that has to be fixed.']


def test_a_format_under_a_wrong_name(papermill, root, tmp_path):
    "What a file is, and not what its name says: PNG under .jpg tells one class from the other."
    x = parts(40, 64, seed=7)[0]
    for i, img in enumerate(x):
        to, kind = ('良品', 'PNG') if i % 2 else ('NG', 'JPEG')
        save(img, tmp_path/'形式'/to/f'{i}.jpg', format=kind)
    run, found, _ = made(papermill, root, tmp_path/'形式', tmp_path)
    assert run['metrics']['formats'] == [{'jpg': 20}, {'png': 20}]
    assert 'format' in set(found[found.what == 'size or format'].detail)


def test_no_false_alarm(papermill, root, tmp_path):
    """Classes that differ in nothing: no shortcut, no format, no label; a few of another format are no sign. That names
    say which photographs show one part, in two classes, no picture could tell."""
    x = surface(80, 96, torch.Generator().manual_seed(0)) # one set in twenty has a shortcut by chance
    for i in range(80):
        save(x[i], tmp_path/'same'/'ab'[i % 2]/f'部品{i//4:02}-T{i % 4}.{"jpg" if i % 7 == 0 else "png"}')
    run, found, groups = made(papermill, root, tmp_path/'same', tmp_path)
    m = run['metrics']
    assert not {'shortcut', 'size or format', 'label', 'two labels', 'unusable class'} & set(m['found'])
    assert 'could not be judged' in ' '.join(m['sentences'])
    named = found[found.what == 'part in classes']
    assert len(named) == 20 == groups.group.nunique() and set(named.label) == {'a / b'} and m['n_groups'] == 80
    assert 'File names of 20 parts are in several classes, as 部品00 in a, b.' in ' '.join(m['sentences'])


@pytest.mark.parametrize('make, message', [
    (lambda top: top.mkdir(), 'there is no file in'),
    (lambda top: (top/'良品').mkdir(parents=True), 'but no files in them'),
    (lambda top: (top/'良品').mkdir(parents=True) or (top/'良品'/'a.png').touch(), 'zero bytes')])
def test_empty_folders_are_refused(papermill, tmp_path, make, message):
    make(tmp_path/'空 の')
    r = papermill('nbs/run_audit.ipynb', tmp_path/'out.ipynb', '-p', 'study', '_audit',
                  '-p', 'data', f'folder:{tmp_path/"空 の"}')
    assert r.returncode and message in r.stderr, r.stderr[-1500:]
