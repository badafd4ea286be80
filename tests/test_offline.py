"""From a folder to an exported model with the network blocked, an empty home, spaces and Japanese in the path, and a
folder of photographs in which nothing can be written, whoever asks; and files that would run code when read."""
import ast, hashlib, io, json, pickle, re, shutil, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch
from safetensors import safe_open
from safetensors.torch import load_file

STUDY = '_test_offline'
BLOCK = '''
import os, sys
WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGE = {f'os.{n}' for n in 'chmod chown link mkdir remove rename rmdir setxattr symlink truncate utime'.split()}
def kept(path):
    if not isinstance(path, (str, bytes, os.PathLike)): return False
    path = os.path.abspath(os.fsdecode(path))
    return path == os.environ['KEPT'] or path.startswith(os.environ['KEPT'] + '/')
def opened(args): # folders that a name may be relative to
    for n in args:
        try:
            if type(n) is int and n > 2: yield os.readlink(f'/proc/self/fd/{n}')
        except OSError: pass # another number
def refuse(event, args):
    if event == 'open' and isinstance(args[2], int) and args[2] & WRITE and kept(args[0]): to, why = args[0], 30
    elif event in CHANGE and any(map(kept, (*args, *opened(args)))): to, why = args[0], 30
    else:
        if event in ('socket.connect', 'socket.sendto'): to = args[1]
        elif event in ('socket.getaddrinfo', 'socket.gethostbyname'): to = args[0]
        else: return
        why, host = 101, to[0] if isinstance(to, tuple) else to
        if host in ('127.0.0.1', '::1', 'localhost', None, '') or isinstance(host, str) and host.startswith('/'): return
    with open(os.environ['ASKED'], 'a') as f: f.write(f'{event} {to}\\n')
    raise OSError(why, f'blocked: {to}')
sys.addaudithook(refuse)
'''


@pytest.fixture(scope='module')
def offline(tmp_path_factory):
    "What a process needs in its environment to be cut off, the file of what it asked for, the folder it can't change."
    top = tmp_path_factory.mktemp('cut off')
    (top/'sitecustomize.py').write_text(BLOCK)
    (top/'home').mkdir()
    photos = top/'読み取り専用 写真'
    env = dict(PYTHONPATH=str(top), HOME=str(top/'home'), ASKED=str(top/'asked'), KEPT=str(photos))
    return env, top/'asked', photos


def test_the_block_blocks(offline):
    env, asked, photos = offline
    photos.mkdir()
    (photos/'a.png').write_bytes(b'a')
    n = 0
    for what in (
            "socket.create_connection(('192.0.2.1', 80), 5)", "urllib.request.urlopen('http://example.org')",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
            "socket.gethostbyname('example.org')", "open(a, 'w')", "open(a, 'ab')", "a.touch()", "a.unlink()",
            "(a.parent/'new').mkdir()", "a.rename('/tmp/elsewhere')", "os.utime(a)", "a.chmod(0o777)",
            "shutil.rmtree(a.parent)", "os.open(a, os.O_RDWR)"):
        code = f'import os, shutil, socket, urllib.request, pathlib; a = pathlib.Path({str(photos/"a.png")!r}); {what}'
        r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
        assert r.returncode and 'blocked' in r.stderr, (what, r.stderr)
        before, n = n, len(asked.read_text().splitlines())
        assert n > before, what
    r = subprocess.run([sys.executable, '-c', f'print(open({str(photos/"a.png")!r}).read())'], env=env, text=True,
                       capture_output=True, check=True)
    assert r.stdout == 'a\n' and [f.name for f in photos.iterdir()] == ['a.png'] # to read is allowed
    asked.unlink()
    shutil.rmtree(photos)


def state(top):
    "Every file and folder: name, mode, time, size, and what is in it."
    def one(f): return '' if f.is_dir() else hashlib.sha256(f.read_bytes()).hexdigest()
    return sorted((str(f), f.stat().st_mode, f.stat().st_mtime_ns, f.stat().st_size, one(f))
                  for f in [top, *top.rglob('*')])


def test_from_folder_to_export(papermill, root, marked, offline, tmp_path):
    env, asked, top = offline
    for f in [f for c in ('良品', 'scratch', 'blob') for f in sorted((marked/c).glob('*.png'))[:6]]:
        for g in f, marked/'masks'/f.relative_to(marked):
            if g.is_file():
                (to := top/g.relative_to(marked)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(g, to)
    for f in [*top.rglob('*'), top]: f.chmod(0o555 if f.is_dir() else 0o444)
    before = state(top)
    def left(notebook, *given, **more):
        r = papermill(f'nbs/{notebook}.ipynb', tmp_path/'out.ipynb', '-p', 'study', STUDY, *given, env=env | more)
        assert r.returncode == 0, r.stderr[-3000:]
        return re.findall(r'runs/[^\s\\"]+\.json', (tmp_path/'out.ipynb').read_text(encoding='utf-8'))[-1]
    small = '-p', 'data', f'folder:{top}', '-p', 'image_size', 64
    try:
        left('run_audit', *small)
        grades = left('run_experiment', *small, '-p', 'epochs', 1, JUPYTER_PATH='') # its packages are imported too
        left('run_explain', '-p', 'run', grades, '-p', 'n_images', 4)
        scores = left('run_anomaly', *small)
        for run in grades, scores:
            left('run_inspect', '-p', 'run', run, '-p', 'images', top/'良品', '-p', 'shown', 2)
            left('run_export', '-p', 'run', run, '-p', 'n_check', 8)
    finally:
        shutil.rmtree(root/'runs'/STUDY, ignore_errors=True)
        same = state(top) == before
        for f in [top, *top.rglob('*')]: f.chmod(0o755)
    assert not asked.exists(), asked.read_text()
    assert same, 'something was written into the folder of photographs'


class Hostile:
    "Makes a file when it is unpickled."
    def __init__(self, ran): self.ran = ran
    def __reduce__(self): return (Path.touch, (self.ran,))


def test_a_hostile_file_runs_no_code(tmp_path):
    "Each kind of file that is read from a disk, with code in it: an error, and the code did not run."
    import onnxruntime
    from inspectkit.data import picture
    from inspectkit.runs import read_run
    from inspectkit.train import load_state
    from inspectkit.trim import text_table
    import yaml
    ran = tmp_path/'ran'
    own, saved, arrays = pickle.dumps(Hostile(ran)), io.BytesIO(), io.BytesIO()
    torch.save(dict(key='k', w=Hostile(ran)), saved)
    np.savez(arrays, attr=np.array([Hostile(ran)], object))
    assert not ran.exists()
    def npz(f):
        with np.load(f) as z: return z['attr']
    def head(f):
        with safe_open(f, 'pt') as opened: return opened.metadata()
    def yaml_of(f): return yaml.safe_load(f.read_text())
    def table(f): return text_table(str(f), ['path', 'group'])
    tag = f'!!python/object/apply:pathlib.Path.touch [{ran}]'.encode()
    for k, (read, data) in enumerate([(load_file, own), (load_file, saved.getvalue()), (head, own), (npz, own),
                                      (npz, arrays.getvalue()), (read_run, own), (read_run, tag), (yaml_of, tag),
                                      (lambda f: picture(f.read_bytes()), own), (table, own),
                                      (lambda f: onnxruntime.InferenceSession(str(f)), own)]):
        (tmp_path/f'{k}').write_bytes(data)
        with pytest.raises(Exception): read(tmp_path/f'{k}')
        assert not ran.exists(), k
    for data in own, saved.getvalue(): # a checkpoint that can't be trusted: from the beginning
        (tmp_path/'a.ckpt').write_bytes(data)
        with pytest.warns(UserWarning, match='is damaged'): assert load_state(tmp_path/'a.ckpt', 'k') is None
        assert not ran.exists()
    pickle.loads(own)
    assert ran.exists() # it would have


def test_nothing_that_unpickles_is_called(root):
    "The library, the run notebooks and the exported script: no pickle, and what could read one is told not to."
    from inspectkit.export import script
    notebooks = [''.join(c['source']) for f in (root/'nbs').glob('run_*.ipynb')
                 for c in json.loads(f.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == 'code']
    calls = [(ast.unparse(n.func), {k.arg: ast.unparse(k.value) for k in n.keywords})
             for source in [*notebooks, script(auto=True), *(f.read_text(encoding='utf-8') for f in
                                                             (root/'inspectkit').glob('*.py'))]
             for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    names = {name for name, _ in calls}
    assert {'torch.load', 'np.load', 'load_file', 'yaml.safe_load'} <= names # so it does look at them
    assert not [n for n in names if re.match(r'(c?pickle|dill|joblib|marshal|shelve)\.|yaml\.(unsafe_|full_)?load$|'
                                             r'(pd\.read_pickle|eval|__import__)$', n)]
    for name, given in calls:
        if name == 'torch.load': assert given.get('weights_only') == 'True'
        if name == 'np.load': assert given.get('allow_pickle', 'False') == 'False'
