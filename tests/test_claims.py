"A verdict follows its runs: change one run, and the report stops with an error that names the claim."
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
    honest = execute(copy)
    assert honest.returncode == 0, honest.stderr[-2000:]
    def is_it(p): return (p['model'], p['weights'], p['data'], p['trim'], p['seed'], p['fold']) == (
        'efficientnet_lite0', 'imagenet', 'elpv', 'none', 1, 0)
    files = [f for f in (copy/'runs'/'corrosion').glob('*lite0*.json') if is_it(json.loads(f.read_text())['params'])]
    run = json.loads(files[0].read_text())
    run['metrics']['test']['accuracy'] = .1 # of the network that S1's claim says is best
    files[0].write_text(json.dumps(run))
    changed = execute(copy)
    assert changed.returncode != 0
    assert "S1.pretrained: 'direction holds on a stand-in' in claims.csv, 'not reproduced' by" in changed.stderr
