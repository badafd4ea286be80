"A folder that takes the place of another: killed at each step, and written by many at once."
import os, signal, subprocess, sys
import pytest
from inspectkit.runs import whole_folder

KILLED = '''
import os, shutil, signal, sys
from inspectkit.runs import whole_folder
where, step = sys.argv[1], int(sys.argv[2])
def die_before(real):
    def call(*args, **kwargs):
        global step
        step -= 1
        if not step: os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
with whole_folder(where) as part:
    for k in '12': (part/k).write_text('new')
    os.replace, os.unlink = die_before(os.replace), die_before(os.unlink)
'''


def there(folder): return {f.name: f.read_text() for f in folder.iterdir()}


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no SIGKILL')
@pytest.mark.parametrize('step', range(1, 6))
def test_killed_at_each_step(tmp_path, step):
    "Before either is moved, between the two, before the old one is removed, and while it is."
    f, old, new = tmp_path/'a.maps', {'1': 'old', '3': 'old'}, {'1': 'new', '2': 'new'}
    with whole_folder(f) as part:
        for name, text in old.items(): (part/name).write_text(text)
    r = subprocess.run([sys.executable, '-c', KILLED, str(f), str(step)])
    assert r.returncode == -signal.SIGKILL
    with pytest.raises(KeyError), whole_folder(f): raise KeyError('the next call brings it back, and fails')
    assert there(f) == (old if step < 3 else new)
    assert [p.name for p in tmp_path.iterdir()] == ['a.maps']


MANY = '''
import sys
from pathlib import Path
from inspectkit.runs import whole_folder
for k in range(60):
    with whole_folder(Path(sys.argv[1])) as part:
        for i in range(3): (part/f'{i}').write_text(f'{sys.argv[2]} {k}')
'''


def test_many_at_once(tmp_path):
    "Each of them succeeds, and what stays is of one of them, whole."
    f = tmp_path/'a.maps'
    writers = [subprocess.Popen([sys.executable, '-c', MANY, str(f), str(i)], stderr=subprocess.PIPE, text=True)
               for i in range(4)]
    wrong = [err for _, err in (w.communicate(timeout=120) for w in writers) if err]
    assert not wrong, wrong[0]
    assert len(there(f)) == 3 and len(set(there(f).values())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ['a.maps']
