"""What it costs to show images to a network that learns nothing: `predict` against the loop as one writes it, batches
of 64 as the bytes lie, memory given back as glibc does by default. Each time in a process of its own, for one that
keeps its memory keeps it for good; and a network whose batch norms are folded away against the same one as built.
"""
import os, subprocess, sys
import torch
from measure import NAMED, SMALL, ratio, save
from inspectkit.augment import normalise
from inspectkit.models import build, folded
from inspectkit.train import autocast, has_bf16, predict

SIZE, N, TURNS = 224, 16 if SMALL else 64, 1 if SMALL else 5
NETWORKS, WAYS = ('cnn5', 'alexnet', 'resnet18', 'efficientnet_lite0'), ('loop', 'predict', 'predict, folded')


def seconds(model, way, precision):
    "Of the processor, for all images after some to warm up, printed."
    torch.set_num_threads(1)
    gen, net, half = torch.Generator().manual_seed(0), build(model, 4).eval(), torch.full((3,), .5)
    x = torch.randint(256, (N, 3, SIZE, SIZE), generator=gen, dtype=torch.uint8)
    if way == 'predict, folded': net = folded(net)
    @torch.no_grad()
    def loop(x):
        with autocast('cpu', precision):
            return torch.cat([net(normalise(b, half, half)).float() for b in x.split(64)])
    def ours(x): return predict(net, x, half, half, precision)
    f = loop if way == 'loop' else ours
    f(x)
    before = os.times()
    f(x)
    after = os.times()
    print(after.user + after.system - before.user - before.system)


def asked(*args):
    small = ['--small'] if SMALL else []
    r = subprocess.run([sys.executable, __file__, *args, *small], capture_output=True, text=True, check=True)
    return float(r.stdout)


if NAMED: seconds(*NAMED)
else:
    result = {}
    for model in NETWORKS:
        for precision in ('fp32', 'bf16') if has_bf16('cpu') else ('fp32',):
            t = {way: [] for way in WAYS}
            for _ in range(TURNS):
                for way, seen in t.items(): seen.append(asked(model, way, precision))
            result.setdefault(model, {})[precision] = dict(
                seconds_an_image={k: sorted(v)[len(v)//2]/N for k, v in t.items()},
                ratio={way: ratio(t, 'loop', way) for way in WAYS[1:]})
    save('looking', dict(image_size=SIZE, images=N, turns=TURNS, networks=result))
