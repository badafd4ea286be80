"""From a folder to an exported model with the network blocked, an empty home, spaces and Japanese in the path, and a
folder of photographs that may not be written to."""
import json, re, shutil, subprocess, sys
import pytest

STUDY = '_test_offline'
BLOCK = '''
import os, sys
def refuse(event, args):
    if event in ('socket.connect', 'socket.sendto'): to = args[1]
    elif event in ('socket.getaddrinfo', 'socket.gethostbyname'): to = args[0]
    else: return
    host = to[0] if isinstance(to, tuple) else to
    if host in ('127.0.0.1', '::1', 'localhost', None, '') or isinstance(host, str) and host.startswith('/'): return
    with open(os.environ['ASKED'], 'a') as f: f.write(f'{event} {to}\\n')
    raise OSError(101, f'the network is blocked: {to}')
sys.addaudithook(refuse)
'''


@pytest.fixture(scope='module')
def offline(tmp_path_factory):
    "What a process needs in its environment to be cut off, and the file that says who asked for the network."
    top = tmp_path_factory.mktemp('cut off')
    (top/'sitecustomize.py').write_text(BLOCK)
    (top/'home').mkdir()
    return dict(PYTHONPATH=str(top), HOME=str(top/'home'), ASKED=str(top/'asked')), top/'asked'


def test_the_block_blocks(offline):
    env, asked = offline
    for what in ("socket.create_connection(('192.0.2.1', 80), 5)", "urllib.request.urlopen('http://example.org')",
                 "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
                 "socket.gethostbyname('example.org')"):
        r = subprocess.run([sys.executable, '-c', f'import socket, urllib.request; {what}'], capture_output=True,
                           text=True, env=env)
        assert r.returncode and 'the network is blocked' in r.stderr
    assert len(asked.read_text().splitlines()) == 4
    asked.unlink()


def test_from_folder_to_export(papermill, root, marked, offline, tmp_path):
    env, asked = offline
    top = tmp_path/'読み取り専用 写真'
    shutil.copytree(marked, top)
    for f in [*top.rglob('*'), top]: f.chmod(0o555 if f.is_dir() else 0o444)
    def state(): return sorted((str(f), f.stat().st_mtime_ns) for f in [top, *top.rglob('*')])
    before = state()
    def left(notebook, *given):
        r = papermill(f'nbs/{notebook}.ipynb', tmp_path/'out.ipynb', '-p', 'study', STUDY, *given, env=env)
        assert r.returncode == 0, r.stderr[-3000:]
        return re.findall(r'runs/[^\s\\"]+\.json', (tmp_path/'out.ipynb').read_text(encoding='utf-8'))[-1]
    data = '-p', 'data', f'folder:{top}'
    try:
        left('run_audit', *data)
        grades = left('run_experiment', *data, '-p', 'model', 'auto', '-p', 'epochs', 1, '-p', 'image_size', 64)
        left('run_explain', '-p', 'run', grades)
        scores = left('run_anomaly', *data, '-p', 'model', 'auto')
        for run in grades, scores:
            left('run_inspect', '-p', 'run', run, '-p', 'images', top/'良品')
            left('run_export', '-p', 'run', run)
    finally:
        shutil.rmtree(root/'runs'/STUDY, ignore_errors=True)
        for f in [top, *top.rglob('*')]: f.chmod(0o755)
    assert not asked.exists(), asked.read_text()
    assert state() == before, 'something was written into the folder of photographs'
