"Near duplicates among all solar cells: planted copies are found, and what is linked otherwise has a reason."
import io, json, random, re, shutil
from dataclasses import replace
import numpy as np, pandas as pd, pytest, torch
from PIL import Image
from inspectkit.data import Images, decode, load, picture, root_of, split
from inspectkit.duplicates import false_alarms, grouped, near_groups, near_pairs
from inspectkit.synthetic import parts

KINDS = 'turn', 'compress', 'resize', 'crop', 'all'


def altered(im, rng, how):
    w, h = im.size
    if how in ('crop', 'all'):
        l, r, t, b = (rng.uniform(0, .05) for _ in range(4))
        im = im.crop((round(l*w), round(t*h), round(w - r*w), round(h - b*h)))
    if how in ('turn', 'all'): im = im.transpose(Image.Transpose(rng.randrange(7)))
    if how in ('resize', 'all'):
        s = rng.uniform(.4, 1.6)
        im = im.resize((round(im.width*s), round(im.height*s)), Image.Resampling.BICUBIC)
    f = io.BytesIO()
    im.save(f, 'JPEG', quality=rng.randint(30, 80)) if how in ('compress', 'all') else im.save(f, 'PNG')
    return decode(f.getvalue(), 128)[0]


@pytest.fixture(scope='module')
def planted():
    "All of elpv and 200 altered copies, 40 of each kind; the pairs that are found."
    cells, rng = load('elpv', 128), random.Random(1)
    source = rng.sample(range(len(cells.y)), 200)
    photos = [picture((root_of('elpv')/cells.path[i]).read_bytes())[0] for i in source]
    copies = torch.stack([altered(im, rng, KINDS[k % 5]) for k, im in enumerate(photos)])
    every = torch.tensor([*range(len(cells.y)), *source])
    images = Images('planted', cells.classes, [cells.path[i] for i in every], torch.cat([cells.x, copies]),
                    cells.y[every], torch.arange(len(every)), cells.audit)
    return images, source, near_pairs(images)


def test_planted_copies_are_found(planted):
    images, source, pairs = planted
    n, found = len(images.y) - len(source), {*zip(pairs.a, pairs.b)}
    hit = [(s, n + k) in found for k, s in enumerate(source)]
    assert sum(hit) >= .95*len(hit), [KINDS[k % 5] for k, h in enumerate(hit) if not h]
    for k in range(5): assert sum(hit[k::5]) >= .9*len(hit[k::5]), KINDS[k] # no kind is lost in the others
    group = near_groups(images, pairs)
    assert all(group[s] == group[n + k] for k, s in enumerate(source) if hit[k])


def test_what_else_is_linked_has_a_reason(planted, root):
    """Cells of one module stand together in the list, and one module is in it twice, 542 places apart; what is
    elsewhere is a false alarm. The pairs are those of the list that can be looked at by hand."""
    images, source, pairs = planted
    n, d = len(images.y) - len(source), np.arange(len(images.y) - len(source))
    own = pairs[pairs.b < n]
    apart = (own.b - own.a).to_numpy()
    assert false_alarms(apart, (d <= 60) | (abs(d - 542) <= 40), n)['high'] < .01
    assert (apart == 542).sum() >= 20 # a module that was photographed twice
    listed = pd.read_csv(root/'studies'/'elpv_pairs.csv')
    names = {(images.path[a], images.path[b]) for a, b in zip(own.a, own.b)}
    assert len(names & {*zip(listed.a, listed.b)}) > .9*len(listed) # the copies take a place or two among suspects


def test_textures_of_no_detail():
    "Noise is never the same; a set of one image, or two, has no pairs."
    x = torch.randint(0, 255, (40, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = Images('noise', ['a'], [str(i) for i in range(40)], x, torch.zeros(40).long(), torch.arange(40), None)
    assert not len(near_pairs(images))
    for n in (1, 2): assert not len(near_pairs(replace(images[range(n)], x=x[:n])))


def test_a_run_keeps_groups_together(papermill, root, tmp_path):
    "Three photographs of each of twelve parts: from a table of their owner's, and found because they look alike."
    top, x, rows = tmp_path/'部品 写真', parts(12, 64, seed=5)[0][:, 0], []
    for i, img in enumerate(x):
        for k in range(3):
            f = top/('良品' if i < 6 else '傷')/f'{i:02} {k}.png'
            f.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255*(img*(.8 + .1*k)*(1 if i < 6 else .5))).byte().numpy()).rotate(90*k).save(f)
            rows.append((f.relative_to(top).as_posix(), f'部品 {i}'))
    table = f"csv:{tmp_path/'組.csv'}"
    pd.DataFrame(rows, columns=['path', 'group']).to_csv(tmp_path/'組.csv', index=False, encoding='cp932')
    images, part_of = load(f'folder:{top}', 64), dict(rows)
    def straddles(paths): return bool(set.intersection(*({part_of[p] for p in part} for part in paths)))
    for groups, n in (table, 12), ('near', 12), ('copies', 36):
        own = grouped(images, groups)
        assert len(own.group.unique()) == n
        _, val, test = split(own, 2, 2, 0, 0)
        assert straddles([[images.path[i] for i in part] for part in (val, test)]) == (groups == 'copies')
    r = papermill('nbs/run_experiment.ipynb', tmp_path/'o.ipynb', '-p', 'data', f'folder:{top}', '-p', 'groups', table,
                  '-p', 'epochs', 1, '-p', 'image_size', 64, '-p', 'study', '_test_groups', '-p', 'test_parts', 2,
                  '-p', 'folds', 2, '-p', 'model', 'cnn5')
    assert r.returncode == 0, r.stderr[-2000:]
    text = (tmp_path/'o.ipynb').read_text(encoding='utf-8')
    run = json.loads((root/re.findall(r'runs/_test_groups/[^\s\\"]+\.json', text)[-1]).read_text(encoding='utf-8'))
    shutil.rmtree(root/'runs'/'_test_groups')
    assert not straddles([run['metrics'][k]['path'] for k in ('predictions', 'val_predictions')])
    assert (run['env']['data']['n_groups'], sum(run['env']['data']['test'])) == (12, 18)
