"""Which reports are out of date; with --run, execute just those (`make reports`). A report that fails stays as it was.

README's figure goes with them: it is a picture without a notebook, and says in itself what it was drawn from.
"""
import hashlib, json, subprocess, sys, tempfile
from pathlib import Path
from PIL import Image
from inspectkit.runs import repo_root, whole
from inspectkit.studies import moved

BIN = Path(sys.executable).parent
FIGURE = 'images/first.png'


def drawn_from(root):
    "A hash of what README's figure depends on."
    files = sorted((root/'runs'/'corrosion').glob('*.json'))
    files += root/'tools'/'readme_figure.py', root/'inspectkit'/'plots.py'
    return hashlib.sha256(b'\0'.join(f.name.encode() + f.read_bytes() for f in files)).hexdigest()[:12]


def stale(root):
    "Name and reason of each report whose runs, claims or code are not what it was made from, and of README's figure."
    found = {nb.stem: moved(nb.stem) for nb in sorted((root/'nbs'/'papers').glob('[!_.]*.ipynb'))}
    late = {name: f"{name}: its {' and '.join(why)} moved since it was executed" if why != ['colophon'] else
            f'{name}: was not executed yet, or ends without a colophon' for name, why in found.items() if why}
    with Image.open(root/FIGURE) as picture: same = picture.info.get('Source') == drawn_from(root)
    return late if same else late | {FIGURE: f'{FIGURE}: its runs or its code moved since it was drawn'}


def execute(report):
    "Run a report and take over what it shows: not its warnings, which name a machine; the cells stay as written."
    with tempfile.TemporaryDirectory() as there:
        done = Path(there)/report.name
        subprocess.run([BIN/'papermill', report, done, '--no-progress-bar', '--cwd', report.parent],
                       stdin=subprocess.DEVNULL, check=True)
        nb, ran = (json.loads(f.read_text(encoding='utf-8')) for f in (report, done))
    for cell, new in zip(nb['cells'], ran['cells'], strict=True):
        if cell['cell_type'] == 'code': cell['outputs'] = [o for o in new['outputs'] if o.get('name') != 'stderr']
    with whole(report) as part: part.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + '\n', encoding='utf-8')
    subprocess.run([BIN/'nbdev_clean', '--fname', report], check=True)


if __name__ == '__main__':
    root, run = repo_root(), '--run' in sys.argv[1:]
    pages = stale(root)
    print('\n'.join(pages.values()) or 'every report is up to date')
    if pages and not run: print('`make reports` executes just these')
    for name in pages if run else ():
        if name == FIGURE: subprocess.run([sys.executable, root/'tools'/'readme_figure.py'], check=True)
        else: execute(root/'nbs'/'papers'/f'{name}.ipynb')
    if run: sys.exit('\n'.join(stale(root).values()) or None)
