"""What a run of S4's own size takes on this GPU: seconds a step and memory, for each network, size and batch planned.

A few steps of our training loop on made images, after a round that counts for nothing; a member's minutes follow
from its steps. The images of a real run lie on the card too, which is not in the memory here. Weights are drawn, for
neither time nor memory depends on them. Where a batch does not fit in float32 it is tried in bf16.
`nbs/papers/efficientnet.ipynb` reads the result. `--small` tries the script without a GPU.
"""
import sys, time
import torch
from measure import SMALL, clock_of, save
from inspectkit.models import build, upsampled
from inspectkit.studies import plan
from inspectkit.train import make_optimizer, nearer, pick_precision, train_epoch

if not (SMALL or torch.cuda.is_available()): sys.exit('there is no GPU here')
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
STEPS = 1 if SMALL else 20
ON_CARD = torch.cuda if DEVICE == 'cuda' else None
IMAGES = dict(cifar100=50_000, cifar10=50_000) # official training images
gen = torch.Generator().manual_seed(0)


def steps(params, precision):
    "Median seconds of a step, and GB that PyTorch held at most."
    side, batch = params['image_size'], 2 if SMALL else params['batch_size']
    net = build(params['model'], 100, 'none', [], params.get('dropout', []), 0)
    if params['upsample']: upsampled(net, 64 if SMALL else params['upsample'])
    net.to(DEVICE, memory_format=torch.channels_last)
    opt = make_optimizer(params['optimizer'], net.parameters(), 1e-5, params['momentum'])
    x = torch.randint(0, 256, (batch*STEPS, 3, side, side), dtype=torch.uint8, generator=gen)
    x, y = nearer(x, net), nearer(torch.arange(len(x)) % 100, net)
    def go(): train_epoch(net, opt, x, y, torch.full((3,), .5), torch.ones(3), batch, gen, precision)
    clock, took = clock_of(DEVICE), []
    go()
    for _ in range(1 if SMALL else 3):
        start = clock()
        go()
        took.append((clock() - start)/STEPS)
    return sorted(took)[len(took)//2], ON_CARD.max_memory_reserved()/1e9 if ON_CARD else 0.


def measured(params):
    "One way to train: its step, its memory, and the minutes of a member."
    for precision in dict.fromkeys((pick_precision('auto', params['model'], DEVICE), 'bf16')):
        if ON_CARD: ON_CARD.empty_cache(), ON_CARD.reset_peak_memory_stats()
        try: second, card = steps(params, precision)
        except torch.OutOfMemoryError: continue
        n = round(IMAGES[params['data']]*(1 - .8/params['folds'])) # of four fifths one part validates
        passes = params['epochs'] + params['burnin']
        return dict(precision=precision, seconds_a_step=second, card_GB=card,
                    minutes_a_member=passes*-(-n//params['batch_size'])*second/60)
    return dict(precision='neither fits')


KEYS = 'model', 'image_size', 'upsample', 'batch_size', 'data', 'epochs', 'burnin', 'folds', 'optimizer', 'momentum'
found = {}
for p in (l['params'] for l in plan('efficientnet', 'paper')):
    if p['tail'] > 1: continue # the same steps, a quarter as many
    k = f"{p['model']}, {p['upsample'] or p['image_size']} pixels"
    found[k] = {k: p[k] for k in KEYS} | measured(p)
    print(k, found[k], flush=True)
name = torch.cuda.get_device_name() if ON_CARD else 'none'
save('sizes', dict(device=name, GB=ON_CARD.mem_get_info()[1]/1e9 if ON_CARD else 0., runs=found))
