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
