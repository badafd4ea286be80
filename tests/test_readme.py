"The README says what is there."
import json, re, shlex
from pathlib import Path
import pytest, torch
from inspectkit.claims import claims
from inspectkit.few_defects import few_split
from inspectkit.studies import defaults
from inspectkit.threshold import needed


def test_commands_exist(root):
    text, make = (root/'README.md').read_text(encoding='utf-8'), (root/'Makefile').read_text(encoding='utf-8')
    assert len(text.splitlines()) < 120
    targets = set(re.findall(r'^    make (\w+)', text, re.M))
    assert {'run', 'test'} <= targets and all(re.search(rf'^{t}:', make, re.M) for t in targets)
    for path in re.findall(r'`((?:nbs|tools|studies|benchmarks|images|runs)/[\w./-]*)`|\]\((images/[\w.]+)\)', text):
        assert (root/(path[0] or path[1])).exists(), path


def test_every_module_is_listed(root):
    text = (root/'README.md').read_text(encoding='utf-8')
    for nb in (root/'nbs').glob('[0-9][0-9]_*.ipynb'): assert f'| `{nb.stem}` |' in text, nb.stem


def test_verdicts_are_the_reports(root):
    "Each line of the README's table is a line of claims.csv, which the report it links to checks against its runs."
    text = (root/'README.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| \[(S\d)\]\((nbs/papers/\w+\.ipynb)\) \| (.+?) \| (.+?) \|$', text, re.M)
    assert rows
    for paper, report, claim, verdict in rows:
        own = claims(paper)
        assert own.verdict[own.claim == claim].tolist() == [verdict], f'not {verdict!r} of {claim!r} in claims.csv'
        cells = json.loads((root/report).read_text(encoding='utf-8'))['cells']
        assert any(f"settle('{paper}', " in ''.join(c['source']) for c in cells)


def commands(text):
    "The lines that begin with papermill, as a shell takes them."
    return [shlex.split(line) for line in re.findall(r'^ {4}(papermill nbs/.*)$', text, re.M)]


CHOSEN = dict(run_experiment='efficientnet_lite0', run_anomaly='patches') # for a folder


@pytest.mark.parametrize('page, least', [('README.md', 8), ('pages/yours.qmd', 10)])
def test_each_command_can_be_typed(root, page, least):
    "Its notebook is there, its parameters are that notebook's, and a run that it reads was left by one above it."
    text, left = (root/page).read_text(encoding='utf-8'), set()
    assert '\\\n' not in ''.join(re.findall(r'^ {4}papermill .*\n', text, re.M)) # PowerShell and cmd know no backslash
    found = commands(text)
    assert len(found) >= least and any(a == 'folder:検査 画像' for line in found for a in line)
    for _, notebook, out, *given in found:
        assert (root/notebook).is_file() and out.startswith('runs/') and given[::3] == len(given[::3])*['-p'], given
        name, own, said = Path(notebook).stem, defaults(root/notebook), dict(zip(given[1::3], given[2::3]))
        assert set(said) <= set(own), f'{notebook} has no {set(said) - set(own)}'
        for v in said.values():
            if m := re.fullmatch(r'runs/(\w+)/(\w+)-[0-9a-f]{12}\.json', v): assert m.groups() in left, (v, left)
            else: assert not v.startswith('runs/'), v
        if 'runs_of' in said: assert said['runs_of'] in {study for study, _ in left}, said
        study = said.get('study', own.get('study'))
        left.add((study, said.get('model', CHOSEN.get(name, own.get('model', '')))))
    used = set(re.findall(r'runs/(\w+)/', text)) - {p.name for p in (root/'runs').iterdir() if p.is_dir()}
    assert used <= {study for study, _ in left}, used


def test_what_so_many_defects_can_promise(root):
    "The table of pages/yours.qmd, by the function that draws the limits, of the split that run_anomaly makes."
    text = (root/'pages'/'yours.qmd').read_text(encoding='utf-8')
    rows = re.findall(r'^\| (\d+) \| (\d+) \| (\.\d+) \| (\.\d+) \|$', text, re.M)
    assert [int(r[0]) for r in rows] == [5, 9, 19, 29, 59, 118]
    for n, kept, *shares in rows:
        kind = torch.tensor([0]*600 + [1]*int(n))
        cut = few_split(kind, torch.arange(len(kind)), 0., 0, [])
        assert int((kind[cut['calibrate']] > 0).sum()) == int(kept)
        for share, promise in zip(map(float, shares), ('certain', 'average')):
            assert needed(share, .95, promise) <= int(kept) < needed(share - .01, .95, promise), (n, share, promise)
    miss, promise = re.search(r'`-p miss ([\d.]+) -p promise (\w+)` is the\s+most that five allow', text).groups()
    assert needed(float(miss), .95, promise) <= 3 # of five
    graded = re.search(r'about (\d+) defects in the folder, `-p miss 0.1` about (\d+), .* about (\d+):', text, re.S)
    ask = [needed(.05), needed(.1), needed(.1, promise='average')] # a fifth of four fifths validates
    for k, said in zip(ask, map(int, graded.groups())): assert 0 <= said - k/.16 < 2, (k, said)
    good = int(re.search(r'(\d+) of them for .05 with certainty', text)[1])
    assert good == 5*needed(.05) # a fifth of the good parts is kept for the limit
