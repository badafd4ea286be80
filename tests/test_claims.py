"A verdict follows its runs: change one, and the report, which nbdev_test passes as it is, stops and names the claim."
import json, re, subprocess, sys
from pathlib import Path
import pytest
from inspectkit.claims import DECIDED, claims

REPORT = 'nbs/papers/corrosion.ipynb'


@pytest.fixture
def copy(checkout, tmp_path): return checkout(tmp_path/'project')


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
    assert "S1.cnn-loss: 'direction holds on a stand-in' in claims.csv, 'undecided' by" in changed.stderr


def test_what_is_decided_has_an_interval_and_its_runs(root):
    "Or says that it is exact; the runs are there."
    papers = {}
    for report in (root/'nbs'/'papers').glob('[!_.]*.ipynb'):
        cells = json.loads(report.read_text(encoding='utf-8'))['cells']
        data = [o['data'].get('application/json', {}) for o in cells[-1]['outputs'] if 'data' in o]
        papers |= {d['paper']: d for d in data if d.get('paper')}
    assert sorted(papers) == ['S1', 'S2', 'S3', 'S4', 'S5']
    for paper, d in papers.items():
        own = claims(paper).set_index('id').verdict
        decided = own.index[own.isin(DECIDED)]
        interval = r'\[[-+.\d%]+, [-+.\d%]+\]|^exact: '
        assert not [i for i in decided if not re.search(interval, d['ours'][i])]
        assert {i for i in decided if i not in d['behind']} <= {'S1.trim-paper', 'S4.one-hot'} # made from no run
        assert all((root/'runs'/f'{name}.json').is_file() for name in d['runs'])
        assert all(len(at.split()) == len(set(at.split())) > 0 for at in d['behind'].values())
