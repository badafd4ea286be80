"""Bad input is normal: it is skipped and counted, or refused with its name and the way out;
nothing that was there is lost."""
import io, subprocess, sys, warnings
import numpy as np, pytest, torch
from PIL import Image
from inspectkit.data import decode, draw, load, split
from inspectkit.train import fit, make_optimizer


def save(path, size=(32, 32), mode='L', **kw):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path, **kw)


def test_everything_at_once(tmp_path):
    for c in 'ab':
        for i in range(4): save(tmp_path/c/f'{"xy"[i % 2]}{i}.png', size=(32 + i, 40 + (c == 'a')))
    a = tmp_path/'a'
    (a/'empty.png').touch()
    (a/'notes.txt').write_text('not an image')
    whole = (a/'x0.png').read_bytes()
    (a/'cut.png').write_bytes(whole[:len(whole)//2])
    save(a/'cut.jpg'); (a/'cut.jpg').write_bytes((a/'cut.jpg').read_bytes()[:700])
    save(a/'cmyk.jpg', mode='CMYK')
    Image.new('P', (20, 20)).save(a/'palette.png', transparency=0)
    Image.fromarray((np.arange(400).reshape(20, 20)*150).astype(np.uint16)).save(a/'deep.tif')
    Image.fromarray(np.full((20, 20), 900, np.uint16)).save(a/'twelve.png')
    Image.fromarray(np.random.rand(20, 20).astype(np.float32)).save(a/'float.tif')
    Image.new('L', (20, 20)).save(a/'film.gif', save_all=True, append_images=[Image.new('L', (20, 20), 99)])
    Image.new('L', (1, 1)).save(a/'dot.png')
    Image.new('1', (20000, 6000)).save(a/'huge.png')
    (a/'gone.png').symlink_to(tmp_path/'nowhere')
    (a/'broken.gif').write_bytes((a/'film.gif').read_bytes()[:40])
    (a/'broken.tif').write_bytes((a/'deep.tif').read_bytes()[:60])
    filters = list(warnings.filters)
    images = load(f'folder:{tmp_path}', 64)
    assert warnings.filters == filters # reading in threads leaves no warning switched off
    why = images.audit.set_index('path').why
    want = dict(empty='zero bytes', notes='not an image', cut='truncated', twelve='brightest pixel 900',
                float='no fixed range', film='2 pages', dot='1 x 1', huge='megapixels', gone='not readable', broken='',
                cmyk='CMYK to RGB', palette='transparency', deep='16 bit to 8')
    for name, reason in want.items():
        rows = [w for p, w in why.items() if p.startswith(f'a/{name}.')]
        assert rows and all(reason in w for w in rows), (name, rows)
    good = [f'{c}/{"xy"[i % 2]}{i}.png' for c in 'ab' for i in range(4)]
    assert sorted(p for p in images.path) == sorted(good + ['a/cmyk.jpg', 'a/palette.png', 'a/deep.tif'])


@pytest.mark.parametrize('name, message', [
    ('none', 'there is no file in'), ('one', 'has 1 sub-folders'),
    ('hollow', 'no files in them'), ('broken', 'none of the 2 files')])
def test_folders_that_hold_no_set(tmp_path, name, message):
    (tmp_path/'none').mkdir()
    save(tmp_path/'one'/'a'/'1.png')
    for c in 'ab':
        (tmp_path/'hollow'/c).mkdir(parents=True)
        (tmp_path/'broken'/c).mkdir(parents=True); (tmp_path/'broken'/c/'1.png').write_text('x')
    with pytest.raises(ValueError, match=message): load(f'folder:{tmp_path/name}', 64)


def test_duplicates_stay_on_one_side(tmp_path):
    for c in 'ab':
        for i in range(10): save(tmp_path/c/f'{i:02}.png', size=(30 + i, 30 + (c == 'a')))
        for i in range(5): (tmp_path/c/f'copy{i}.png').write_bytes((tmp_path/c/f'{i:02}.png').read_bytes())
    images = load(f'folder:{tmp_path}', 64)
    assert (images.audit.what == 'duplicate').sum() == 10
    for seed in range(10):
        parts = split(images, 5, 4, 0, seed)
        groups = [set(images.group[p].tolist()) for p in parts]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_one_image_in_a_class(tmp_path):
    for i in range(9): save(tmp_path/'a'/f'{i}.png', size=(30 + i, 30))
    save(tmp_path/'b'/'1.png')
    with pytest.raises(ValueError, match="class b has 1 image left"):
        split(draw(load(f'folder:{tmp_path}', 64), 0, 0), 5, 5, 0, 0)


def test_exploding_loss_is_named():
    x, y = torch.randint(0, 255, (32, 1, 8, 8), dtype=torch.uint8), torch.arange(32) % 2
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    with pytest.raises(ArithmeticError, match='lower lr=1e\\+38'):
        fit(net, make_optimizer('sgd', net.parameters(), 1e38), (x, y), (x, y), (torch.zeros(3), torch.ones(3)),
            epochs=9, batch_size=8)


FULL = """
import resource, signal, sys, torch
from pathlib import Path
from inspectkit.runs import whole
from inspectkit.train import load_state, save_state
f = Path(sys.argv[1])
save_state(f, dict(key="k", n=1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: save_state(f, dict(key="k", w=torch.zeros(1_000_000))), lambda: save(f.with_suffix('.json'))):
    def save(p):
        with whole(p) as part: part.write_text('x'*1_000_000)
    try: write()
    except OSError as e: print('refused:', e)
print('kept:', load_state(f, 'k')['n'], sorted(p.name for p in f.parent.iterdir()))
"""


def test_a_full_disk_loses_nothing(tmp_path):
    "A limit on the size of a file stands for a disk with no room left."
    call = [sys.executable, '-c', FULL, str(tmp_path/'a.ckpt')]
    r = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    assert r.stdout.count('refused: could not write') == 2 and "kept: 1 ['a.ckpt']" in r.stdout, r.stdout


def test_import_is_light():
    "Nothing heavy is imported before it is needed."
    heavy = ('torch', 'torchvision', 'pandas', 'timm', 'matplotlib', 'numpy')
    code = f'import inspectkit, inspectkit.runs, sys; print([m for m in {heavy} if m in sys.modules])'
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert r.stdout.strip() == '[]'


@pytest.mark.parametrize('mode', ['L', 'RGB', 'P', 'RGBA', 'LA', '1', 'CMYK'])
def test_every_mode_becomes_bytes(mode):
    f = io.BytesIO()
    Image.new('L', (20, 30), 255).convert(mode).save(f, 'TIFF' if mode == 'CMYK' else 'PNG')
    x, *_ = decode(f.getvalue(), 16)
    assert x.dtype == torch.uint8 and x.shape[0] in (1, 3) and x.float().mean() > 250
