"Near duplicates among all solar cells: planted copies are found, and what is linked otherwise has a reason."
import io, random
from dataclasses import replace
import pytest, torch
from PIL import Image
from inspectkit.data import Images, decode, load, picture, root_of
from inspectkit.duplicates import near_groups, near_pairs

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


def test_what_else_is_linked_has_a_reason(planted):
    """Cells of one module stand together in the list, and one module is in it twice, 542 places apart; what is
    further apart has nothing in common, and may be one image in a hundred."""
    images, source, pairs = planted
    n = len(images.y) - len(source)
    own = pairs[pairs.b < n]
    apart = (own.a - own.b).abs()
    wrong = own[(apart > 60) & ((apart - 542).abs() > 40)]
    assert len({*wrong.a, *wrong.b}) < .01*n
    assert (apart == 542).sum() >= 20 # a module that was photographed twice


def test_textures_of_no_detail():
    "Noise is never the same; a set of one image, or two, has no pairs."
    x = torch.randint(0, 255, (40, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = Images('noise', ['a'], [str(i) for i in range(40)], x, torch.zeros(40).long(), torch.arange(40), None)
    assert not len(near_pairs(images))
    for n in (1, 2): assert not len(near_pairs(replace(images[range(n)], x=x[:n])))


def test_a_run_keeps_groups_together(papermill, root, tmp_path):
    "Three photographs of each of twelve parts: from a table of their owner's, and found because they look alike."
    import json, re, shutil
    import pandas as pd
    from inspectkit.synthetic import parts
    top, x, rows = tmp_path/'部品 写真', parts(12, 64, seed=5)[0][:, 0], []
    for i, img in enumerate(x):
        for k in range(3):
            f = top/('良品' if i < 6 else '傷')/f'{i:02} {k}.png'
            f.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255*(img*(.8 + .1*k)*(1 if i < 6 else .5))).byte().numpy()).rotate(90*k).save(f)
            rows.append((f.relative_to(top).as_posix(), f'部品 {i}'))
    pd.DataFrame(rows, columns=['path', 'group']).to_csv(tmp_path/'組.csv', index=False, encoding='cp932')
    part_of, apart = dict(rows), {}
    for groups in f"csv:{tmp_path/'組.csv'}", 'near', 'copies':
        r = papermill('nbs/run_experiment.ipynb', tmp_path/'o.ipynb', '-p', 'data', f'folder:{top}', '-p', 'groups',
                      groups, '-p', 'epochs', 1, '-p', 'image_size', 64, '-p', 'study', '_test_groups', '-p',
                      'test_parts', 2, '-p', 'folds', 2)
        assert r.returncode == 0, r.stderr[-2000:]
        text = (tmp_path/'o.ipynb').read_text(encoding='utf-8')
        run = json.loads((root/re.findall(r'runs/_test_groups/[^\s\\"]+\.json', text)[-1]).read_text(encoding='utf-8'))
        test, val = ({part_of[p] for p in run['metrics'][k]['path']} for k in ('predictions', 'val_predictions'))
        apart[groups[:4]] = not test & val, run['env']['data']['n_groups'], sum(run['env']['data']['test'])
    shutil.rmtree(root/'runs'/'_test_groups')
    assert apart['csv:'] == apart['near'] == (True, 12, 18), apart
    assert apart['copi'][:2] == (False, 36)
