"New images through a trained network: every file is on the list, bad ones stop nothing, page and table can be opened."
import json, pickle, re, shutil, subprocess, sys
from html.parser import HTMLParser
import numpy as np, pandas as pd, pytest, torch
from PIL import Image
from safetensors.torch import load_file, save_file
from browser import CHROMIUM
from inspectkit.page import WORDS, card, inside, page
from inspectkit.runs import run_path
from inspectkit.studies import defaults
from inspectkit.synthetic import parts

TINY = ('-p', 'study', '_inspect', '-p', 'model', 'cnn5', '-p', 'image_size', 64, '-p', 'n_images', 0, '-p', 'folds', 2,
        '-p', 'epochs', 2, '-p', 'test_parts', 2)


def made(root, before):
    new = set((root/'runs'/'_inspect').glob('*.json')) - before
    return new.pop()


@pytest.fixture(scope='module')
def trained(papermill, root, photos, tmp_path_factory):
    "A run on parts in three classes, under a Japanese name with spaces."
    there = set((root/'runs'/'_inspect').glob('*.json'))
    out = tmp_path_factory.mktemp('out')/'t.ipynb'
    r = papermill('nbs/run_experiment.ipynb', out, '-p', 'data', f'folder:{photos}', *TINY)
    assert r.returncode == 0, r.stderr[-2000:]
    run = made(root, there)
    yield run
    for f in root.glob(f'runs/_inspect/{run.stem}*'): f.unlink()


@pytest.fixture(scope='module')
def anomaly_runs(papermill, root, photos, tmp_path_factory):
    "Runs of run_anomaly on the same parts: with patches, and with codes after the remedy."
    made_here = []
    for given in (['patches', '-p', 'image_size', 64, '-p', 'memory', 100],
                  ['aae', '-p', 'epochs', 2, '-p', 'remedy', True]):
        there = set((root/'runs'/'_inspect').glob('*.json'))
        out = tmp_path_factory.mktemp('out')/'t.ipynb'
        r = papermill('nbs/run_anomaly.ipynb', out, '-p', 'data', f'folder:{photos}', '-p', 'study', '_inspect',
                      '-p', 'promise', 'average', '-p', 'miss', .2, '-p', 'overkill', .2, '-p', 'model', *given)
        assert r.returncode == 0, r.stderr[-2000:]
        made_here.append(made(root, there))
    yield made_here
    for run in made_here:
        for f in root.glob(f'runs/_inspect/{run.stem}*'): f.unlink()


@pytest.fixture
def inspect(papermill, root, trained, tmp_path):
    "Inspect a folder with the run; its JSON, table and page, or the error."
    def call(*given, run=trained):
        there = set((root/'runs'/'_inspect').glob('*.json'))
        out = tmp_path/'i.ipynb'
        r = papermill('nbs/run_inspect.ipynb', out, '-p', 'study', '_inspect', '-p', 'run', run, *given)
        if r.returncode: return r.stderr
        new = made(root, there)
        found = [json.loads(new.read_text(encoding='utf-8')), new.with_suffix('.csv').read_bytes(),
                 new.with_suffix('.html').read_text(encoding='utf-8')]
        maps = new.with_suffix('.maps')
        shutil.rmtree(tmp_path/maps.name, ignore_errors=True)
        shutil.move(maps, tmp_path)
        for s in ('.json', '.csv', '.html'): new.with_suffix(s).unlink()
        return found
    return call


class Closed(HTMLParser):
    "Every tag that is opened is closed, and nothing is fetched."
    def __init__(self): super().__init__(); self.open, self.pictures = [], 0
    def handle_starttag(self, tag, attrs):
        assert tag not in ('script', 'link', 'iframe', 'object')
        for k, v in attrs: assert k not in ('src', 'href') or v.startswith('data:image/jpeg;base64,')
        self.pictures += tag == 'img'
        if tag not in ('meta', 'img', 'br', 'th'): self.open.append(tag)
    def handle_endtag(self, tag): assert self.open.pop() == tag


def state_of(top): return sorted((f.as_posix(), f.lstat().st_mtime_ns, f.lstat().st_size) for f in top.rglob('*'))


def test_every_file_is_on_the_list(inspect, tmp_path):
    "Good ones, broken ones, strange ones, in a folder that is only read."
    top = tmp_path/'新しい 画像'/'ロット １'
    top.mkdir(parents=True)
    x = (255*parts(12, 64, seed=9)[0]).byte().numpy()[:, 0]
    for i, img in enumerate(x): Image.fromarray(img).save(top/f'部品 {i:02}.png')
    Image.fromarray(x[0].astype(np.uint16)*257).save(top/'16 bit.png')
    Image.fromarray(x[1]).convert('CMYK').save(top/'cmyk.jpg')
    Image.fromarray(x[2]).save(top/'=1+1.png')
    Image.fromarray(x[3]).save(top/'<b>太字.png')
    Image.fromarray(x[4]).save(top/'途中.jpg')
    (top/'途中.jpg').write_bytes((top/'途中.jpg').read_bytes()[:300])
    Image.new('L', (64, 64)).save(top/'真っ黒.png')
    (top/'零.png').touch()
    (top/'メモ.txt').write_text('no image')
    for f in '.DS_Store', 'Thumbs.db': (top/f).touch() # not the engineer's
    (top/'gone.png').symlink_to(tmp_path/'nowhere.png')
    before = state_of(top.parent)
    for f in (top, top.parent): f.chmod(0o555)
    try: run, table, html = inspect('-p', 'images', top.parent, '-p', 'lang', 'ja')
    finally:
        for f in (top.parent, top): f.chmod(0o755)
    assert state_of(top.parent) == before
    assert table.startswith('\ufeff'.encode()) # so that Excel reads it as UTF-8
    (tmp_path/'t.csv').write_bytes(table)
    rows = pd.read_csv(tmp_path/'t.csv', encoding='utf-8-sig', keep_default_na=False).set_index('ファイル')
    names = [f.relative_to(top.parent).as_posix() for f in top.iterdir() if f.name not in ('.DS_Store', 'Thumbs.db')]
    assert sorted(rows.index) == sorted(names) and rows.index.is_unique
    unread = rows[rows['判定'] == '読めない']
    assert {f.rpartition('/')[2] for f in unread.index} == {'途中.jpg', '零.png', 'メモ.txt', 'gone.png'}
    assert set(rows['判定']) <= {'合格', '不合格', '要確認', '読めない'}
    assert rows.loc['ロット １/真っ黒.png', '判定'] == '要確認' and '明るさ' in rows.loc['ロット １/真っ黒.png', '理由']
    assert rows.loc['ロット １/16 bit.png', '推定クラス'] == rows.loc['ロット １/部品 00.png', '推定クラス']
    assert (rows.loc[unread.index, 'マップ'] == '').all()
    m = run['metrics']
    assert (m['n'], m['unread'], sum(m['counts'].values())) == (len(names), 4, len(names) - 4)
    looks = Closed()
    looks.feed(html)
    assert not looks.open and looks.pictures >= len(names) - 4 and '&lt;b&gt;太字.png' in html and '検査結果' in html
    assert m['bytes'] == len(html.encode()) < 5_000_000
    assert m['hidden'] == 2 and '2 個のファイルは対象外' in html
    assert m['sentences'][0].startswith('モデルの実力：テスト画像') and m['sentences'][0] in html # before any limit


def test_the_page_is_printed(tmp_path):
    "A browser makes sheets of A4 of it."
    if not CHROMIUM: pytest.skip('needs Chromium: apt-get install chromium')
    picture = inside(Image.fromarray((255*parts(1, 128)[0][0, 0]).byte().numpy()))
    row = dict(path='部品 01.png', state='look', label='傷', confidence=.6, why=['しきい値の間'], pictures=2*[picture])
    html = page('検査 画像', dict(NG=0, look=24, OK=0), ['文'], [('途中.jpg', 'truncated')], 24*[card(row, 'ja')], 'ja')
    file, pdf = tmp_path/'page.html', tmp_path/'page.pdf'
    file.write_text(html, encoding='utf-8')
    flags = '--headless', '--no-sandbox', '--disable-gpu', '--no-pdf-header-footer', f'--print-to-pdf={pdf}'
    subprocess.run([CHROMIUM, *flags, file.as_uri()], check=True, capture_output=True, timeout=120)
    text = pdf.read_bytes()
    w, h = map(float, re.search(rb'/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]', text).groups())
    assert abs(w - 595) < 2 and abs(h - 842) < 2 and 1 <= len(re.findall(rb'/Type ?/Page\b', text)) <= 4


def test_it_says_what_the_run_said(inspect, trained, photos, tmp_path):
    "The run's own test images get the classes that it gave them, and few are called unlike."
    p = json.loads(trained.read_text(encoding='utf-8'))
    classes, said = p['env']['data']['classes'], p['metrics']['predictions']
    for f in said['path']:
        (tmp_path/'again'/f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos/f, tmp_path/'again'/f)
    run, table, html = inspect('-p', 'images', tmp_path/'again', '-p', 'promise', 'average', '-p', 'shown', 3)
    (tmp_path/'t.csv').write_bytes(table)
    rows = pd.read_csv(tmp_path/'t.csv', encoding='utf-8-sig').set_index('file')
    same = [classes[k] == rows.loc[f, 'looks like'] for f, k in zip(said['path'], said['pred'])]
    sure = [sorted(q)[-1] - sorted(q)[-2] > .02 for q in said['prob']] # not those that a rounding can tip over
    assert all(s for s, t in zip(same, sure) if t)
    assert sum(run['metrics']['n_unlike'].values()) <= 12 # 4 on average, by the largest of 18 distances
    assert html.count('class="card ') == 3 and '3 of' in html
    maps = sorted(m for m in rows['map'].dropna()) # of all, not only of those on the page
    assert len(maps) == len(set(maps)) > 3 # a network of two passes has maps that say nothing, too
    assert maps == sorted(f.relative_to(tmp_path).as_posix() for f in tmp_path.glob('*.maps/*'))
    assert {Image.open(tmp_path/m).size for m in maps} == {(260, 128)} and run['metrics']['maps']['n'] == len(maps)
    assert (rows['why'].fillna('').str.contains('no map: it says nothing') == rows['map'].isna()).all()
    order = [('NG', 'a person must look', 'OK').index(s) for s in rows.result]
    assert order == sorted(order)
    tested = run['metrics']['tested']
    assert sum(map(sum, tested.values())) == len(said['path'])


def test_anomaly_scores(inspect, anomaly_runs, photos, tmp_path):
    """A new image gets the score that its run gave it, in what a good part usually has, and its place among good parts.
    With defects kept for the limits the confidence is that of a defect, without that of being unlike good parts."""
    for k, file in enumerate(anomaly_runs):
        saved = json.loads(file.read_text(encoding='utf-8'))
        p = saved['metrics']
        if k: # as if no defect had been kept
            stay = [t or not c for t, c in zip(p['test'], p['kind'])]
            for of in p, p['each']:
                same = [n for n, v in of.items() if isinstance(v, list) and len(v) == len(stay)]
                of |= {n: [x for x, s in zip(of[n], stay) if s] for n in same}
            file.write_text(json.dumps(saved), encoding='utf-8')
        got, table, html = inspect('-p', 'images', photos, '-p', 'promise', 'average', '-p', 'miss', .2,
                                   '-p', 'overkill', .2, '-p', 'shown', 12, run=file)
        (tmp_path/'t.csv').write_bytes(table)
        rows = pd.read_csv(tmp_path/'t.csv', encoding='utf-8-sig').set_index('file')
        assert len(rows) == 72 and set(rows.result) <= {'NG', 'a person must look', 'OK'}
        said, test = np.array(p['each'][p['main']]), np.array(p['test']) > 0
        good, group = ~test & (np.array(p['kind']) == 0), np.array(p['group'])
        unit = np.sort(said[good])[(good.sum() - 1)//2]
        np.testing.assert_allclose(rows.score[p['path']], said/unit, rtol=1e-3, atol=1e-3)
        goods = np.array([(said/unit)[good & (group == g)].max() for g in np.unique(group[good])]) # copies count once
        share = rows['share of good parts that score so high']
        for f, s in rows.score.items():
            assert abs(share[f] - (1 + (goods >= s - 1e-4).sum())/(1 + len(goods))) < 1e-3 + 1/(1 + len(goods))
        sure = rows['confidence that it is ' + ('unlike good parts' if k else 'a defect')]
        assert sure.notna().all() and (not k or np.allclose(sure, 1 - share, atol=2e-4))
        limits, m = got['metrics']['limits'], got['metrics']
        assert (limits['low'] is None) == bool(k) and m['tested']['defects'] and m['unlike']
        ng = rows.score >= max(v for v in limits.values() if v is not None)
        assert (rows.result[ng] == 'NG').all() and html.count('class="card ') == 12
        assert html.count('<img') > 12 and 'what stands out of it as least like good parts' in html # a map each
        assert rows['map'].notna().mean() > .9 and all((tmp_path/f).is_file() for f in rows['map'].dropna())
    assert 'Confidence that it is unlike good parts: one minus the share of ' in html


def test_the_other_name_of_run(papermill, root, trained, photos, tmp_path):
    "`model_run` is `run`: the result has the name that `run` would give it."
    there = set((root/'runs'/'_inspect').glob('*.json'))
    own = dict(study='_inspect', images=str(photos), n_images=2, shown=0)
    given = [v for k, value in own.items() for v in ('-p', k, value)]
    r = papermill('nbs/run_inspect.ipynb', tmp_path/'o.ipynb', *given, '-p', 'model_run', trained)
    assert r.returncode == 0, r.stderr[-2000:]
    new = made(root, there)
    params = {k: v for k, v in defaults('nbs/run_inspect.ipynb').items() if k != 'model_run'} | own
    assert new == run_path(params | dict(run=str(trained), model='inspect'))
    for s in ('.json', '.csv', '.html'): new.with_suffix(s).unlink()
    shutil.rmtree(new.with_suffix('.maps'))


def test_what_to_inspect_is_asked_for(inspect, tmp_path):
    "A run without a folder does not go through the images of an example."
    assert 'which folder is to be inspected? -p images FOLDER' in inspect()
    assert f"images='{tmp_path}/none': there is no folder" in inspect('-p', 'images', tmp_path/'none')


def test_weights_of_something_else(inspect, trained, anomaly_runs, tmp_path):
    "Damaged weights, and those of another run, are refused with the name of their file."
    weights = anomaly_runs[1].with_suffix('.safetensors')
    own = weights.read_bytes()
    other = trained.with_suffix('.safetensors').read_bytes()
    for wrong, why in ((own[:-100], 'safetensors'), (other, 'do not belong')):
        weights.write_bytes(wrong)
        try: said = inspect('-p', 'images', tmp_path.parent, run=anomaly_runs[1])
        finally: weights.write_bytes(own)
        assert isinstance(said, str) and weights.name in said and why in said, said[-800:]


def test_hostile_weights_run_no_code(inspect, anomaly_runs, tmp_path):
    class Hostile:
        def __reduce__(self): return (shutil.copy, (__file__, str(tmp_path/'ran')))
    weights = anomaly_runs[1].with_suffix('.safetensors')
    own = weights.read_bytes()
    weights.write_bytes(pickle.dumps(Hostile()))
    try: said = inspect('-p', 'images', tmp_path.parent, run=anomaly_runs[1])
    finally: weights.write_bytes(own)
    assert isinstance(said, str) and weights.name in said and not (tmp_path/'ran').exists()
    pickle.loads(pickle.dumps(Hostile()))
    assert (tmp_path/'ran').exists() # it would have


WITHOUT = """import sys, runpy
for name in ('torch', 'inspectkit', 'torchvision', 'timm'): sys.modules[name] = None # as if not installed
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')"""


@pytest.mark.parametrize('k', [0, 1])
def test_export(papermill, inspect, root, trained, anomaly_runs, photos, tmp_path, k):
    "The script alone, where PyTorch and this project are not, says of the run's images what run_inspect says."
    run, to, lang = [trained, anomaly_runs[0]][k], tmp_path/'書き出し １', ['en', 'ja'][k]
    there = set((root/'runs'/'_inspect').glob('*.json'))
    limits = ['-p', 'promise', 'average', '-p', 'miss', .2, '-p', 'overkill', .2, '-p', 'lang', lang]
    out = tmp_path/'e.ipynb'
    r = papermill('nbs/run_export.ipynb', out, '-p', 'study', '_inspect', '-p', 'run', run, '-p', 'to', to, *limits)
    assert r.returncode == 0, r.stderr[-2000:]
    new = made(root, there)
    check = json.loads(new.read_text(encoding='utf-8'))['metrics']['check']
    new.unlink()
    assert 100 < check['n'] <= 120 and check['flips'] == 0 and check['relative'] <= 1e-5 and check['bounded'] <= 1e-5
    assert k or check['off'] <= 1e-5 # probabilities
    assert check['as_trained']['n'] >= 20 and check['near'] > 0 and sum(v > 0 for v in check['by'].values()) > 1
    assert sorted(f.name for f in to.iterdir()) == ['card.md', 'judge.py', 'model.onnx']
    card = (to/'card.md').read_text(encoding='utf-8')
    assert run.name in card and json.loads(run.read_text(encoding='utf-8'))['env']['data']['hash'] in card
    for text in (['a probability, may differ', 'How good it is: '], ['s/(1 + s) の差は', 'モデルの実力：', '| テスト結果 |'])[k]:
        assert text in card
    assert k == 0 or not re.search(r'[a-z]{3,} (the|of|is|are|and) ', card)
    (photos/'良品'/'壊れた.png').write_bytes(b'no image')
    try:
        r = subprocess.run([sys.executable, '-c', WITHOUT, to/'judge.py', photos, tmp_path/'t.csv'], cwd=tmp_path,
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
    finally: (photos/'良品'/'壊れた.png').unlink()
    def table(name): # in English
        english = {v: WORDS['en'][w] for w, v in WORDS[lang].items()}
        return pd.read_csv(tmp_path/name, encoding='utf-8-sig').rename(columns=english).set_index('file')
    mine = table('t.csv')
    assert mine.result.pop('良品/壊れた.png') == WORDS[lang]['unread']
    (tmp_path/'i.csv').write_bytes(inspect('-p', 'images', photos, '-p', 'shown', 0, *limits, run=run)[1])
    theirs = table('i.csv')
    precision = json.loads(run.read_text(encoding='utf-8'))['env']['precision']
    near = 1e-4 if precision == 'fp32' else .05
    assert mine.result.nunique() > 1
    np.testing.assert_allclose(mine.score[theirs.index], theirs.score, rtol=1e-4, atol=near)
    if precision == 'fp32': # images unlike those of training go to a person there, which the script can't tell
        seen = theirs.index[(theirs.filter(like='≥ 1') < 1).all(axis=1)]
        assert (mine.result[seen] == theirs.result[seen]).all()
    if k == 0: # a folder that is not ours is left alone
        (to/'mine.txt').touch()
        r = papermill('nbs/run_export.ipynb', out, '-p', 'study', '_inspect', '-p', 'run', run, '-p', 'to', to)
        assert r.returncode and 'holds something else, mine.txt' in r.stderr


def test_nothing_to_see(inspect, tmp_path):
    "A folder without a file is refused; one without an image gives a page that says so."
    (tmp_path/'空').mkdir()
    assert 'there is no file in' in inspect('-p', 'images', tmp_path/'空')
    (tmp_path/'空'/'a.png').touch()
    run, table, html = inspect('-p', 'images', tmp_path/'空')
    assert run['metrics']['counts'] == dict(NG=0, look=0, OK=0) and 'zero bytes' in html and b'a.png' in table


def test_training_images_are_gone(inspect, trained, photos):
    "Once they were seen they are not needed again; without either it is said that nothing was compared."
    bank, away, few = trained.with_suffix('.unlike.safetensors'), photos.with_name('away'), ('-p', 'n_images', 3)
    save_file(dict(far=torch.zeros(2)), bank, dict(of='another training')) # what was kept is of older images
    assert inspect('-p', 'images', photos/'良品', *few)[0]['metrics']['unlike']['at'][0] > 0
    assert len(load_file(bank)) > 1
    photos.rename(away)
    try:
        assert inspect('-p', 'images', away/'良品', *few)[0]['metrics']['unlike']
        bank.unlink()
        run, table, html = inspect('-p', 'images', away/'良品', *few, '-p', 'lang', 'ja')
    finally: away.rename(photos)
    assert run['metrics']['unlike'] is None and '確かめていません：学習画像を読めない: フォルダーがない' in html
    assert not any('folder' in s for s in run['metrics']['sentences']) and not bank.exists()


@pytest.mark.parametrize('given, message', [
    (['-p', 'run', 'runs/_inspect/nothing.json'], 'there is no file'),
    (['-p', 'run', 'a.json', '-p', 'model_run', 'b.json'], 'two names for one thing'),
    (['-p', 'lang', 'de'], "lang='de' is not one of en, ja"),
    (['-p', 'good', '合格'], "good='合格': which classes are good?"),
    (['-p', 'miss', '0.0'], 'miss=0.0 must be from 0.001')])
def test_refused(papermill, tmp_path, given, message):
    r = papermill('nbs/run_inspect.ipynb', tmp_path/'out.ipynb', '-p', 'study', '_inspect', *given)
    assert r.returncode and message in r.stderr, r.stderr[-1500:]
