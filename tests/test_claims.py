"A verdict follows its runs: change one, and the report, which nbdev_test passes as it is, stops and names the claim."
import json, shutil, subprocess, sys
from pathlib import Path
import pytest

REPORT = 'nbs/papers/corrosion.ipynb'


@pytest.fixture
def copy(root, tmp_path):
    "The project's files without its environment and its history."
    there = tmp_path/'project'
    ignored = shutil.ignore_patterns('.venv', '.git', '.snakemake', '*.safetensors', '*.ckpt', '_proc', '__pycache__')
    shutil.copytree(root, there, ignore=ignored)
    return there


def execute(project):
    call = [str(Path(sys.executable).parent/'papermill'), REPORT, str(project/'out.ipynb'), '--no-progress-bar']
    return subprocess.run(call, cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_one_run_turns_a_verdict(copy):
    def is_it(p): return 'fold' in p and (p['seed'], p['fold'], p['optimizer']) == (1, 0, 'rmsprop')
    files = [f for f in (copy/'runs'/'corrosion').glob('cnn5*.json') if is_it(json.loads(f.read_text())['params'])]
    run = json.loads(files[0].read_text())
    run['metrics']['history'][run['metrics']['kept_epoch']]['val_loss'] = 2. # of the network whose loss is the lower
    files[0].write_text(json.dumps(run))
    changed = execute(copy)
    assert changed.returncode != 0
    assert "S1.cnn-loss: 'direction holds on a stand-in' in claims.csv, 'not reproduced' by" in changed.stderr
