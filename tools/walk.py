"""The walk-through as a reader makes it: a folder of photographs, then one command after the other (`make walk`).

The folder `検査 画像/` is cut from the set `fastener`: what an engineer has (撮影済み, a folder a class) and what comes
later (新着: two types of part that no training has seen, some photographs of the others, and what lies about in such
folders). The commands leave their runs in runs/walk/, and steps.csv beside them: each command and its seconds by the
clock, the start of Python included; busy: how many processes ran in the minute before. nbs/papers/walkthrough.ipynb
reads that. Where Chromium is, images/walk.png is drawn: the page of the lot, a grey box in the place of each
photograph, for nobody has said that they may be shown.
"""
import csv, os, random, re, shlex, shutil, subprocess, sys, tempfile, time
from importlib.util import find_spec
from pathlib import Path
from PIL import Image
from inspectkit.data import check_name, root_of
from inspectkit.runs import repo_root, whole

BIN, TOP, STUDY = Path(sys.executable).parent, Path('検査 画像'), sys.argv[1] if len(sys.argv) > 1 else 'walk'
OLD, NEW, FOLDER = TOP/'撮影済み', TOP/'新着', {'0': '良品', '24': '24時間', '48': '48時間', '72': '72時間'}
steps = []


def photograph(seed=0):
    "The reader's folder: the same whenever it is made."
    try: check_name('fastener')
    except OSError as e: sys.exit(str(e))
    if TOP.exists() and not (TOP/'.walk').exists(): sys.exit(f'there is a folder {TOP} already: rename it first')
    shutil.rmtree(TOP, ignore_errors=True)
    files, gen = sorted(root_of('fastener').glob('*-T*.jpg')), random.Random(seed)
    def part(f): return f.stem.partition('-T')[0]
    unseen = gen.sample(sorted({part(f) for f in files}), 2)
    known = [f for f in files if part(f) not in unseen]
    later = {gen.choice([f for f in known if part(f) == p]) for p in sorted({part(f) for f in known})}
    for f in files:
        new = f in later or part(f) in unseen
        to = NEW if new else OLD/FOLDER[re.search(r'-T(\d+)', f.stem)[1]]
        to.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(f, to/f.name)
    there = {k: sorted((OLD/k).iterdir()) for k in FOLDER.values()}
    shutil.copyfile(there['48時間'][0], OLD/'良品'/f"コピー {there['48時間'][0].name}") # a slip of the mouse
    for to in OLD/'72時間', NEW: # a card that was pulled out too early; a note
        (to/'DSC_0001.jpg').write_bytes(there['72時間'][0].read_bytes()[:9000])
        (to/'メモ.txt').write_text('白い紙の上で撮影', encoding='utf-8')
    (TOP/'.walk').touch() # ours: it may be made again
    cell = sorted((root_of('elpv')/'images').glob('*.png'))[0]
    shutil.copyfile(cell, NEW/'別の現場.png') # the camera was at another job in between


def call(step, notebook, **params):
    "One command as the reader types it; the run it leaves."
    line = ['papermill', f'nbs/{notebook}.ipynb', f'runs/{STUDY}/{step}.ipynb']
    for k, v in (params | dict(study=STUDY)).items(): line += ['-p', k, str(v)]
    before, busy = set(Path('runs', STUDY).glob('*.json')), os.getloadavg()[0] # what else the machine has to do
    started = time.perf_counter()
    subprocess.run([BIN/line[0], *line[1:], '--no-progress-bar'], check=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    run = (set(Path('runs', STUDY).glob('*.json')) - before).pop()
    steps.append(dict(step=step, command=shlex.join(line), run=run.name, seconds=round(seconds, 1),
                      busy=round(busy, 1)))
    print(f'{step}: {seconds:.0f} s, {run}', flush=True)
    return run.as_posix()


def greyed(page, to):
    "The upper part of a page as a small image, without its photographs."
    font = Path(find_spec('matplotlib_fontja').origin).parent/'fonts'/'ipaexg.ttf'
    style = f'<style>@font-face {{ font-family: J; src: url("{font.as_uri()}") }} * {{ font-family: J }} ' \
            'img { filter: contrast(0) }</style>' # each pixel the same grey
    with tempfile.TemporaryDirectory() as there:
        copy, shot = Path(there)/'page.html', Path(there)/'page.png'
        copy.write_text(page.read_text(encoding='utf-8').replace('</head>', f'{style}</head>'), encoding='utf-8')
        flags = '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--window-size=940,960'
        subprocess.run([shutil.which('chromium'), *flags, f'--screenshot={shot}', copy.as_uri()], check=True,
                       capture_output=True, timeout=60)
        Image.open(shot).convert('RGB').quantize(128).save(to, optimize=True)


if __name__ == '__main__':
    os.chdir(repo_root())
    photograph() # a folder that is not there ends here, before the last walk is gone
    shutil.rmtree(Path('runs', STUDY), ignore_errors=True)
    Path('runs', STUDY).mkdir()
    photos = f'folder:{OLD}'
    call('audit', 'run_audit', data=photos)
    for f in OLD.rglob('*'): # what the audit said is to be fixed first
        if f.name.startswith(('コピー', 'DSC_', 'メモ')): f.unlink()
    first = call('first', 'run_experiment', data=photos)
    call('chance', 'run_experiment', data=f'shuffled:{photos}')
    call('where', 'run_explain', run=first)
    few = call('few', 'run_anomaly', data=photos)
    call('lot', 'run_inspect', run=first, images=NEW)
    lot = call('lot-few', 'run_inspect', run=few, images=NEW, lang='ja')
    if shutil.which('chromium'): greyed(Path(lot).with_suffix('.html'), Path('images', f'{STUDY}.png'))
    call('export', 'run_export', run=first, to=TOP/'ライン3')
    shutil.copyfile(TOP/'ライン3'/'card.md', Path('runs', STUDY, 'card.md'))
    with whole(Path('runs', STUDY, 'steps.csv')) as part, open(part, 'w', newline='', encoding='utf-8') as f:
        out = csv.DictWriter(f, steps[0])
        out.writeheader()
        out.writerows(steps)
