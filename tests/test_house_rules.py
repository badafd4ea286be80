"What a machine can check of how this project is written."
import ast, json, re, subprocess, sys, tokenize
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb')
                   if not any(x.startswith(('.', '_')) for x in p.relative_to(ROOT).parts))
MODULES = [p for p in NOTEBOOKS if re.match(r'\d\d_', p.name)]
RUNS = [p for p in NOTEBOOKS if p.name.startswith('run_')]
REPORTS = [p for p in NOTEBOOKS if p.parent.name == 'papers']
LIBRARY = sorted((ROOT/'inspectkit').glob('[!_]*.py'))
SCRIPTS = sorted(p for d in ('tests', 'benchmarks', 'tools', 'workflow') for p in (ROOT/d).rglob('*.py'))
named = pytest.mark.parametrize


def cells(nb, kind=None):
    every = json.loads(nb.read_text(encoding='utf-8'))['cells']
    return [c for c in every if kind in (None, c['cell_type'])]
def source(cell): return ''.join(cell['source'])
def exported(nb): return [source(c) for c in cells(nb, 'code') if source(c).startswith('#| export\n')]
def imports(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom): yield node.module or '', [a.name for a in node.names]
        if isinstance(node, ast.Import): yield from ((a.name, []) for a in node.names)


def test_every_kind_is_there():
    assert len(MODULES) >= 9 and RUNS and REPORTS and SCRIPTS and len(LIBRARY) == len(MODULES)
    assert set(NOTEBOOKS) == set(MODULES + RUNS + REPORTS)
    from nbdev.doclinks import nbglob
    found = {Path(p).resolve() for p in nbglob(ROOT/'nbs')}
    assert found == set(NOTEBOOKS), 'what nbdev_test finds; with none it would pass'


@named('nb', MODULES, ids=lambda p: p.stem)
def test_imports_only_downwards(nb):
    number = {p.stem[3:]: int(p.stem[:2]) for p in MODULES}
    for text in (source(c) for c in cells(nb, 'code')):
        for module, names in imports(re.sub(r'^[%!].*$', '', text, flags=re.M)):
            assert '*' not in names
            if module == 'inspectkit': raise AssertionError(f'{nb.name}: spell out the module')
            if module.startswith('inspectkit.'):
                assert number[module.split('.')[1]] < int(nb.stem[:2]), f'{nb.name} imports {module}'


@named('nb', MODULES, ids=lambda p: p.stem)
def test_shape_of_a_module_notebook(nb):
    all_cells = cells(nb)
    assert source(all_cells[0]) == f'#| default_exp {nb.stem[3:]}'
    assert re.match(rf'# {nb.stem[3:]}\n\n> \S', source(all_cells[1]))
    assert source(all_cells[-1]) == '#| hide\nimport nbdev; nbdev.nbdev_export()'
    assert len(all_cells) < 60 and nb.stat().st_size < 500_000
    first = ast.parse(exported(nb)[0]).body
    assert all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in first), 'the first export cell is imports only'
    for text in exported(nb):
        n = len(text.splitlines())
        assert n - 1 <= 30, f'{nb.name}: an export cell of {n} lines:\n{text[:200]}'


@named('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_120_columns(nb):
    long = [l for c in cells(nb, 'code') for l in source(c).splitlines() if len(l) > 120 and not l.startswith('#|')]
    assert not long, long


@named('py', SCRIPTS, ids=lambda p: f'{p.parent.name}-{p.stem}')
def test_120_columns_beside_the_notebooks(py):
    long = [l for l in py.read_text(encoding='utf-8').splitlines() if len(l) > 120]
    assert not long, long


@named('py', LIBRARY, ids=lambda p: p.stem)
def test_docments_complete(py):
    "A docstring for every function, and a comment behind every parameter and every result."
    text, missing = py.read_text(encoding='utf-8'), []
    tokens = tokenize.generate_tokens(iter(text.splitlines(True)).__next__)
    comments = {t.start[0] for t in tokens if t.type == tokenize.COMMENT}
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith('_'): continue
        if not ast.get_docstring(node): missing.append(f'{node.name}: docstring')
        args = node.args
        for a in [*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg]:
            if a and a.lineno not in comments: missing.append(f'{node.name}({a.arg})')
        gives = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
        if gives and node.body[0].lineno - 1 not in comments: missing.append(f'{node.name}: what it returns')
    assert not missing, missing


@named('nb', RUNS, ids=lambda p: p.stem)
def test_one_parameters_cell(nb):
    tagged = [source(c) for c in cells(nb, 'code') if 'parameters' in c['metadata'].get('tags', [])]
    assert len(tagged) == 1
    form = r'\w+: (str|int|float|bool|list) = [^=#]+  # [^=]+'
    for line in tagged[0].splitlines():
        assert re.fullmatch(form, line), f'papermill would lose this: {line}'
        whole = re.fullmatch(r'\w+: float = -?\d+  #.*', line)
        assert not whole, f'a plan and a run would name the result differently, write 0.0: {line}'
    assert not any(c['outputs'] for c in cells(nb, 'code')) and not exported(nb)
    kernel = json.loads(nb.read_text())['metadata']['kernelspec']
    assert kernel == dict(display_name='python3', language='python', name='python3')


@named('nb', REPORTS, ids=lambda p: p.stem)
def test_reports_train_nothing(nb):
    code = [source(c) for c in cells(nb, 'code')]
    assert not any(m.startswith('inspectkit.train') for text in code for m, _ in imports(text))
    shown = [c for c in cells(nb, 'code') if re.search(r'#\| label: fig-|^\w+(\.\w+\(\d*\))?$', source(c), re.M)]
    assert shown and all(c['outputs'] for c in shown), 'the outputs of a report are committed'


@named('nb', REPORTS, ids=lambda p: p.stem)
def test_no_table_is_cut(nb):
    "Pandas leaves out the middle of a long table and prints its size below: a reader would miss rows."
    kept = [''.join(o['data'].get('text/html', '')) for c in cells(nb, 'code') for o in c['outputs'] if 'data' in o]
    assert any('<table' in h for h in kept)
    assert not [h[-80:] for h in kept if re.search(r'\d+ rows × \d+ columns', h)]


@named('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_of_one_machine_is_stored(nb):
    text = nb.read_text(encoding='utf-8')
    assert not re.search(r'/(home|root|work|tmp|Users)/\w', text), 'a path of one machine'
    for c in cells(nb, 'code'):
        for o in c['outputs']: assert o['output_type'] != 'error' and 'Warning' not in json.dumps(o)[:20_000]


@pytest.fixture(scope='module')
def copy(checkout, tmp_path_factory): return checkout(tmp_path_factory.mktemp('copy')/'project')


def test_library_is_what_the_notebooks_export(copy):
    before = {p.name: p.read_text(encoding='utf-8') for p in (copy/'inspectkit').glob('*.py')}
    subprocess.run([Path(sys.executable).parent/'nbdev_export'], cwd=copy, check=True, timeout=120)
    after = {p.name: p.read_text(encoding='utf-8') for p in (copy/'inspectkit').glob('*.py')}
    assert [n for n in after if after[n] != before.get(n)] == []


def test_notebooks_are_clean(copy):
    names = [p.relative_to(ROOT) for p in NOTEBOOKS]
    before = [(copy/n).read_text(encoding='utf-8') for n in names]
    subprocess.run([Path(sys.executable).parent/'nbdev_clean'], cwd=copy, check=True, timeout=120)
    assert [str(n) for n, b in zip(names, before) if (copy/n).read_text(encoding='utf-8') != b] == []


def test_names_of_no_machine_in_the_files():
    r = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = r.stdout.splitlines()
    assert listed
    kinds = ('.py', '.md', '.yml', '.toml', '.ini', '.json', '.csv', '.qmd', '.cff')
    for name in listed:
        f = ROOT/name
        if f.suffix in kinds and f.is_file() and f.stat().st_size < 2_000_000:
            assert not re.search(r'(?<![\w.])/(home|root)/[\w.]+', f.read_text(encoding='utf-8')), name
