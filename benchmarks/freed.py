"""What a training gains where the process keeps the memory that it frees: some steps of each network, each time in a
process of its own, for what one keeps it keeps for good.
"""
import os, resource, subprocess, sys
import torch
from measure import NAMED, SMALL, ratio, save
from inspectkit import train
from inspectkit.models import build

SIZES = dict(alexnet=160, resnet18=112, cnn5=112, efficientnet_lite0=112)
TURNS, BATCHES = (1, 1) if SMALL else (5, 4)


def steps(model, kept):
    "Seconds of four batches after one to warm up, and the most memory in MB, printed."
    torch.set_num_threads(1)
    if not kept: train.keep_freed = lambda: False
    size, gen, net = SIZES[model], torch.Generator().manual_seed(0), build(model, 4)
    x = torch.randint(256, (32*BATCHES, 1, size, size), generator=gen, dtype=torch.uint8)
    y, opt = torch.randint(4, (len(x),), generator=gen), train.make_optimizer('adam', net.parameters(), 1e-5)
    def epoch(x): train.train_epoch(net, opt, x, y, torch.full((3,), .5), torch.full((3,), .2), 32, gen, augment={})
    epoch(x[:32])
    before = os.times()
    epoch(x)
    after = os.times()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1000
    print(after.user + after.system - before.user - before.system, most)


def asked(model, kept):
    small = ['--small'] if SMALL else []
    r = subprocess.run([sys.executable, __file__, model, kept, *small], capture_output=True, text=True, check=True)
    return [float(v) for v in r.stdout.split()]


if NAMED: steps(NAMED[0], NAMED[1] == 'kept')
else:
    result = {}
    for model in SIZES:
        seen = {'kept': [], 'given back': []}
        for _ in range(TURNS):
            for k, v in seen.items(): v.append(asked(model, k))
        seconds, most = ({k: list(column) for k, column in zip(seen, two)}
                         for two in zip(*(zip(*v) for v in seen.values())))
        result[model] = dict(seconds=seconds, ratio=ratio(seconds, 'given back', 'kept'),
                             most_memory_mb={k: max(v) for k, v in most.items()})
    save('freed', dict(image_size=SIZES, turns=TURNS, networks=result))
