"The README says what is there."
import json, re
from inspectkit.claims import claims


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
