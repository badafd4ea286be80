"""The fused warp against torchvision v2 one image at a time.

Both start from bytes in memory and end in normalised floats for the network.
`native` images have their own 300 pixels and are brought to 224 on the way, by Resize there and by the same single
sampling here; the others were resized beforehand.
"""
import torch
from torchvision.transforms import v2
from measure import alternate, save
from inspectkit.augment import draw_affine, warp
from inspectkit.data import load

grey = load('elpv', 224).x[::8][:256]
native = load('elpv', 300).x[::8][:256]
colour = torch.cat([grey, grey.flip(2), grey.flip(3)], 1) # three different channels
mean, std = torch.full((3,), .5), torch.full((3,), .2)
gen = torch.Generator().manual_seed(0)
steps = [v2.RandomHorizontalFlip(), v2.RandomAffine(15, scale=(.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR),
         v2.ToDtype(torch.float32, scale=True)]
plain = v2.Resize((224, 224), antialias=False) # two bilinear samplings, where the warp has one


def consume(batches): # as training does: a batch is used and let go
    for _ in batches: pass


def theirs(x, steps):
    c = x.shape[1]
    pipe = v2.Compose([*steps, v2.Normalize([.5]*c, [.2]*c)])
    return lambda: consume(torch.stack([pipe(i) for i in b]).expand(-1, 3, -1, -1) for b in x.split(32))


def ours(x):
    return lambda: consume(warp(b, draw_affine(len(b), gen), (224, 224), stats=(mean, std)) for b in x.split(32))


ways = {
    'torchvision, grey': theirs(grey, steps), 'inspectkit, grey': ours(grey),
    'torchvision, native grey': theirs(native, [plain, *steps]), 'inspectkit, native grey': ours(native),
    'torchvision, colour': theirs(colour, steps), 'inspectkit, colour': ours(colour)}
t = alternate(ways, 15)
rate = {k: 256/v for k, v in t.items()}
ratio = {k: rate[f'inspectkit, {k}']/rate[f'torchvision, {k}'] for k in ('grey', 'native grey', 'colour')}
save('augment', dict(images_per_second=rate, ratio=ratio))
