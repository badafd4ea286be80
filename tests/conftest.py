"What the tests share: the project's folder, images to read, and a way to run a notebook as a user does."
import functools, os, shutil, subprocess, sys, tempfile
from pathlib import Path
import pytest
import warm
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
BACKEND = dict(MPLBACKEND='module://matplotlib_inline.backend_inline') # read when Matplotlib is imported

LONG = ('test_study', 'test_site', 'test_search', 'test_inspect', 'test_augmentation', 'test_fuzz', 'test_offline',
        'test_members', 'test_duplicates', 'test_defaults', 'test_explain', 'test_claims', 'test_resume',
        'test_cam_metrics') # a quarter of a minute or more each


def pytest_collection_modifyitems(items):
    "The longest files first, or one process is left with one of them when the other has nothing more to do."
    place = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


def pytest_configure(config):
    "One process with all that is slow to import, for the tests of all workers."
    if hasattr(config, 'workerinput') or config.option.collectonly: return
    folder = tempfile.TemporaryDirectory()
    os.environ['WARM'] = address = str(Path(folder.name)/'s')
    warm.kernelspec(Path(folder.name), address)
    env = os.environ | BACKEND | dict(PYTHONPATH='', JUPYTER_PATH=folder.name)
    server = subprocess.Popen([sys.executable, warm.__file__, address], env=env)
    def end():
        server.kill(); server.wait()
        folder.cleanup()
    config.add_cleanup(end)


@pytest.fixture(scope='session', autouse=True)
def warm_kernels():
    "Whatever the tests start has its kernels from there, but where their environment is another."
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', '') # as the kernels have it
        patch.setenv('JUPYTER_PATH', str(Path(os.environ['WARM']).parent))
        yield os.environ['WARM']


@pytest.fixture(scope='session')
def root(): return ROOT


@pytest.fixture(scope='session')
def checkout(root):
    "Copy the project's files, but not what other tests write there, and take away, at the same time."
    call = 'git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'
    def to(there):
        names = subprocess.run(call, cwd=root, capture_output=True, text=True, check=True).stdout.split('\0')
        for f in (root/n for n in names if n and (root/n).is_file()):
            if f.name.startswith('_test'): continue # the rest of theirs git ignores
            copy = there/f.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(f, copy)
        return there
    return to


@pytest.fixture(scope='session')
def papermill(warm_kernels):
    "Call papermill as on the command line; stdin closed, for on a pipe it would read the notebook from there."
    def call(*args, cwd=ROOT, env={}, **kw):
        return subprocess.run(warm.line(warm_kernels, 'papermill', *map(str, args)), cwd=cwd, stdin=subprocess.DEVNULL,
                              timeout=300, capture_output=True, text=True, env=os.environ | env, **kw)
    return call


@pytest.fixture(scope='session')
def refusal():
    "What the checks of a run notebook, which stand before all its work, say of some values; '' where nothing."
    from papermill.cli import _resolve_type as as_given
    from inspectkit.studies import checker, defaults
    of = functools.cache(checker)
    def call(notebook, *args): # as on the command line: -p name value
        given = dict(zip(args[1::3], (as_given(str(v)) for v in args[2::3])))
        try: of(notebook)(defaults(notebook) | given)
        except (ValueError, FileNotFoundError) as e: return str(e)
        return ''
    return call


@pytest.fixture(scope='session')
def photos(tmp_path_factory):
    "A folder of small parts under a Japanese name with spaces: 24 of each of three classes."
    from inspectkit.synthetic import KINDS, parts
    top = tmp_path_factory.mktemp('写真')/'検査 画像'
    x, y, _ = parts(96, 64)
    for i, (img, k) in enumerate(zip(x, y)):
        if k == 2: continue
        f = top/['良品', *KINDS][k]/f'部品 {i:02}.png'
        f.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255*img[0]).byte().numpy()).save(f)
    return top


@pytest.fixture(scope='session')
def marked(tmp_path_factory):
    "Parts in four classes under a Japanese name, masks for the defects."
    from inspectkit.synthetic import KINDS, parts
    top = tmp_path_factory.mktemp('検査')/'部品 写真'
    x, y, mask = parts(48, 64)
    for i, (img, k, m) in enumerate(zip(x, y, mask)):
        name = f"{['良品', *KINDS][k]}/{i:02}.png"
        for f in (top/name, top/'masks'/name): f.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255*img[0]).byte().numpy()).save(top/name)
        if k: Image.fromarray(255*m.byte().numpy()).save(top/'masks'/name)
    return top
