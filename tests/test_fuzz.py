"""Hundreds of damaged and strange files, and what is no file at all, through audit, training, scoring and inspection:
no traceback, no hang, and each of them is in the result."""
import csv, io, json, os, re, shutil
import numpy as np, pandas as pd, pytest
from PIL import Image
from strange import mutations, odd
from inspectkit.data import as_text, below, root_of

STUDY = '_test_fuzz'


@pytest.fixture(scope='module', autouse=True)
def left_as_found(root):
    yield
    shutil.rmtree(root/'runs'/STUDY, ignore_errors=True)


def strange_names(top):
    "A name from a Japanese Windows, a pipe, a ring, a link to nothing and one to a device."
    with open(os.fsencode(top) + '/良品.png'.encode('cp932'), 'wb') as f: f.write(b'x')
    os.mkfifo(top/'pipe.png')
    (top/'ring').symlink_to(top, True)
    (top/'nowhere.png').symlink_to(top/'gone')
    (top/'device.png').symlink_to('/dev/zero')
    return 5


@pytest.fixture(scope='module')
def folder(tmp_path_factory, marked):
    "20 sound files of each class; among the good ones 560 mutations, among the bad ones all odd files; their number."
    top, n = tmp_path_factory.mktemp('乱れた')/'検査 画像', 0
    for k, kinds in (('良品', ['良品']), ('傷', ['scratch', 'stain', 'blob'])):
        (top/k).mkdir(parents=True)
        for kind in kinds:
            for f in sorted((marked/kind).glob('*.png'))[:20]: shutil.copy(f, top/k/f'{kind} {f.name}'); n += 1
    four = sorted((root_of('elpv')/'images').glob('*.png'))[::700]
    images = [Image.open(f).reduce(3) for f in four] # photographs, 100 x 100: hundreds of them are read
    for i, (name, data) in enumerate([*mutations(images, 560, 7), *odd(images[0]).items()]):
        (top/('良品' if i < 560 else '傷')/name.replace('/', '_')).write_bytes(data)
    n += i + 1
    return top, n + (strange_names(top/'傷') if hasattr(os, 'mkfifo') else 0)


def left(papermill, root, out, notebook, *given):
    "Run a notebook; its JSON, and the paths of what it left."
    r = papermill(f'nbs/{notebook}.ipynb', out/'out.ipynb', '-p', 'study', STUDY, *given)
    assert r.returncode == 0, r.stderr[-3000:]
    cells = json.loads((out/'out.ipynb').read_text(encoding='utf-8'))['cells']
    text = ''.join(''.join(o.get('text', '')) for c in cells for o in c.get('outputs', []))
    assert 'Traceback' not in text
    file = root/re.findall(r'(runs/\S+\.json)', text)[-1]
    return json.loads(file.read_text(encoding='utf-8')), file


@pytest.fixture(scope='module')
def trained(papermill, root, folder, tmp_path_factory):
    return left(papermill, root, tmp_path_factory.mktemp('t'), 'run_experiment', '-p', 'data', f'folder:{folder[0]}',
                '-p', 'image_size', 64, '-p', 'epochs', 1)


@pytest.fixture(scope='module')
def audited(papermill, root, folder, tmp_path_factory):
    return left(papermill, root, tmp_path_factory.mktemp('a'), 'run_audit', '-p', 'data', f'folder:{folder[0]}')


def skipped_of(file, suffix, why):
    "Path and reason of each file that was skipped, as a run left them."
    found = pd.read_csv(file.with_suffix(suffix), keep_default_na=False)
    skipped = found[found.what == 'skipped']
    assert skipped.path.is_unique and (skipped[why] != '').all()
    return dict(zip(skipped.path, skipped[why]))


def test_audit_names_every_file(audited, folder):
    run, file = audited
    skipped = skipped_of(file, '.csv', 'detail')
    assert len(skipped) + sum(run['metrics']['images']) == folder[1] and len(skipped) > 300
    files = {as_text(f.relative_to(folder[0]).as_posix()) for f in below(folder[0])}
    assert len(files) == folder[1] and set(skipped) < files


def test_training_names_what_it_skips(trained, audited):
    "The same files, for the same reasons; in the table beside the result, not only counted."
    run, file = trained
    skipped = skipped_of(file, '.files.csv', 'why')
    assert skipped == skipped_of(audited[1], '.csv', 'detail')
    data = run['env']['data']
    assert data['n_found'] == sum(audited[0]['metrics']['images'])
    assert sum(data['audit']['skipped'].values()) == len(skipped)


def test_good_parts_and_defects(papermill, root, folder, trained, tmp_path):
    run, file = left(papermill, root, tmp_path, 'run_anomaly', '-p', 'data', f'folder:{folder[0]}',
                     '-p', 'image_size', 64)
    assert run['metrics']['chosen'] and trained[0]['metrics']['chosen'] # both looked at each file, and chose
    assert skipped_of(file, '.files.csv', 'why') == skipped_of(trained[1], '.files.csv', 'why') # by name, see above
    names_every_file(papermill, root, folder, file, tmp_path)


def test_inspection_names_every_file(papermill, root, folder, trained, tmp_path):
    names_every_file(papermill, root, folder, trained[1], tmp_path)


def names_every_file(papermill, root, folder, run_file, tmp_path):
    "Inspect the folder with a run: each file has a line, and is judged or has a reason."
    top, n = folder
    given = '-p', 'run', run_file.relative_to(root), '-p', 'images', top
    run, file = left(papermill, root, tmp_path, 'run_inspect', *given)
    rows = list(csv.reader(io.StringIO(file.with_suffix('.csv').read_text(encoding='utf-8-sig'))))
    assert len(rows) - 1 == n == run['metrics']['n'] == len({r[0] for r in rows[1:]})
    assert run['metrics']['unread'] + sum(run['metrics']['counts'].values()) == n
    page = file.with_suffix('.html').read_text(encoding='utf-8')
    assert len(page) < 5e6 and 'pipe.png' in page
