"""Class activation maps and their numbers: what they cost beside a forward pass, the package grad-cam, Captum alone, a
numpy loop and Quantus.

Grad-CAM at the last stage of ResNet18, 224 pixels, batches of 32. Ways take turns, and a ratio is the median of the
ratios of turns. One thread, and seconds of the processor rather than of the clock, so that it can be measured while
others use the machine. Agreement is stated beside every speed. Memory is measured twice: what the allocator gives at
most during a call (torch.profiler), and how far a process of its own grows. Names of parts on the command line: only
these. On a CPU without bf16 units, which would emulate them, all but Quantus in float32 only, to a JSON of its own.
"""
import re, statistics, subprocess, sys
from copy import deepcopy
from pathlib import Path
import numpy as np, psutil, torch
from captum.attr import LayerGradCam
from torch.nn.functional import interpolate
from torch.profiler import ProfilerActivity, profile
from measure import (SMALL, agreement, clock_of, compared, deletions, medians, peer, ratio, save_parts, thousand_maps,
                     turns)
from inspectkit.cam import explain, find_layer, flaw, grad_cam, on_image
from inspectkit.cam_metrics import hits
from inspectkit.models import build
from inspectkit.train import autocast, has_bf16

BATCH, SIZE = (2, 96) if SMALL else (32, 224)
LAST, CLOCK, UNITS = torch.channels_last, clock_of('cpu'), has_bf16('cpu')
torch.set_num_threads(1)
gen = torch.Generator().manual_seed(0)
x, y = torch.randn(BATCH, 3, SIZE, SIZE, generator=gen), torch.arange(BATCH) % 4
plain = build('resnet18', 4).eval()
last = deepcopy(plain).to(memory_format=LAST)
x_last = x.contiguous(memory_format=LAST)


def forward(net, x, precision='fp32'):
    with torch.no_grad(), autocast('cpu', precision): net(x)


def maps(net, x, precision='fp32'):
    with autocast('cpu', precision): return explain('grad_cam', net, x, y, batch_size=BATCH)


def coarse(net, x, precision='fp32'):
    with autocast('cpu', precision): return grad_cam(net, x, y)


def against_forward():
    "The map as coarse as the layer, and enlarged to the image, against the forward pass alone."
    kinds = {'fp32': (plain, x), 'fp32, channels last': (last, x_last)}
    if UNITS: kinds['bf16, channels last'] = last, x_last, 'bf16'
    ways = {f'{what}, {k}': lambda f=f, a=a: f(*a) for k, a in kinds.items()
            for what, f in (('forward', forward), ('grad_cam', coarse), ('explain', maps))}
    t = turns(ways, 5, CLOCK)
    alike = agreement(maps(plain, x)[1], maps(last, x_last, 'bf16')[1]) if UNITS else None
    return dict(seconds_a_batch=medians(t),
                grad_cam_against_forward={k: ratio(t, f'grad_cam, {k}', f'forward, {k}') for k in kinds},
                explain_against_forward={k: ratio(t, f'explain, {k}', f'forward, {k}') for k in kinds},
                correlation_bf16_with_fp32=alike)


def against_package():
    "The package as its manual has it, and, at equal precision, under autocast with its arrays made floats."
    peer('pytorch_grad_cam', 'grad-cam')
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    targets = [ClassifierOutputTarget(int(t)) for t in y]
    default, cast = (GradCAM(n, [find_layer(n)], reshape_transform=f) for n, f in ((deepcopy(plain), None),
                     (deepcopy(last), lambda a: a.float())))
    def theirs_bf16():
        with autocast('cpu', 'bf16'): return cast(x_last, targets)
    ways = {'grad-cam, fp32': lambda: default(x, targets), 'inspectkit, fp32': lambda: maps(plain, x)}
    against = dict(fp32=[*ways])
    if UNITS:
        ways |= {'grad-cam, bf16, channels last': theirs_bf16,
                 'inspectkit, bf16, channels last': lambda: maps(last, x_last, 'bf16')}
        first, _, *own = ways
        against |= {'bf16': own, 'bf16 against its default': [first, own[1]]}
    t = turns(ways, 3, CLOCK)
    attr, theirs = maps(plain, x)[1], torch.from_numpy(default(x, targets))
    low = attr.amin((1, 2), True)
    ours = on_image(attr - low, (SIZE, SIZE)) # theirs is stretched from the smallest value of a map
    shown = torch.tensor([not flaw(a) for a in attr])
    theirs /= theirs.amax((1, 2), True)
    return dict(images_per_second={k: BATCH/v for k, v in medians(t).items()},
                ratio={k: ratio(t, *pair) for k, pair in against.items()},
                largest_difference_fp32=(ours - theirs)[shown].abs().max().item())


def captum(): return LayerGradCam(plain, find_layer(plain)).attribute(x, y, relu_attributions=True)
ROUTES = {'forward': lambda: forward(plain, x), 'inspectkit': lambda: coarse(plain, x), 'captum': captum}


def allocated(f):
    "Bytes that the allocator had given at most during a call, beyond what there was before."
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p: f()
    events = [e for e in p.profiler.kineto_results.events() if e.name() == '[memory]']
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max())


def most_resident():
    "Of this process so far, by Linux; getrusage would count what its parent had before it."
    return 1024*int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1])


def asked(*args):
    "What this script prints in a process of its own."
    call = sys.executable, __file__, *map(str, args), *(['--small'] if SMALL else [])
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def grown(route):
    "Bytes by which a process of its own grows at most during its first call."
    return int(asked('grow', route))


def memory():
    given = {k: allocated(f) for k, f in ROUTES.items()}
    rss = {k: statistics.median(grown(k) for _ in range(1 if SMALL else 3)) for k in ROUTES}
    return dict(allocated_MB={k: v/1e6 for k, v in given.items()}, process_grows_MB={k: v/1e6 for k, v in rss.items()},
                inspectkit_against_captum=dict(allocated=given['inspectkit']/given['captum'],
                                               process=rss['inspectkit']/rss['captum']))


def one_hit(cam, mask, threshold=.5):
    "What one writes first: the same rules and checks."
    if cam.min() < 0: raise ValueError('cam is to be at least 0')
    if not (cam.max() > 0 and mask.any()): return np.nan, np.nan, np.nan
    high = cam >= threshold*cam.max()
    hit = mask[np.unravel_index(cam.argmax(), cam.shape)]
    return hit, cam[mask].sum()/cam.sum(), (high & mask).sum()/(high | mask).sum()


def against_numpy():
    """1,000 maps, and the true defects of planted scratches, stains and blobs, against a loop that takes one at a time:
    maps of 7x7, which the loop enlarges by PyTorch, and the same enlarged beforehand."""
    attr, cam, mask = thousand_maps(SIZE, gen)
    cams, masks = cam.numpy(), mask.numpy()
    def enlarged(a): return interpolate(a[None, None], (SIZE, SIZE), mode='bilinear')[0, 0].numpy()
    def loop(): return np.array([one_hit(enlarged(a), m) for a, m in zip(attr, masks)])
    def loop_enlarged(): return np.array([one_hit(c, m) for c, m in zip(cams, masks)])
    t = turns({'numpy loop': loop, 'inspectkit': lambda: hits(attr, mask), 'numpy loop, enlarged': loop_enlarged,
               'inspectkit, enlarged': lambda: hits(cam, mask)}, 15, CLOCK)
    for ours, theirs in ((hits(attr, mask), loop()), (hits(cam, mask), loop_enlarged())):
        torch.testing.assert_close(ours.double(), torch.tensor(theirs), rtol=1e-4, atol=1e-5, equal_nan=True)
    return dict(seconds_for_1000=medians(t), ratio=ratio(t, 'numpy loop', 'inspectkit'),
                ratio_enlarged_beforehand=ratio(t, 'numpy loop, enlarged', 'inspectkit, enlarged'),
                ratio_enlarging_uncounted=ratio(t, 'numpy loop, enlarged', 'inspectkit'),
                mean_share_of_defect=mask.float().mean().item())


KINDS = {'fp32': (plain, 'fp32'), 'bf16': (plain, 'bf16'), 'bf16, channels last': (last, 'bf16')}
STEPS = 12


def deletion(who, kind, n, insert):
    "Seconds of a curve of so many images after one to warm up, printed."
    f, given = deletions(x[:int(n)], y[:int(n)], gen, 'cpu', STEPS, insert == 'insertion')[who], KINDS[kind]
    f(*given)
    start = CLOCK()
    f(*given)
    print(CLOCK() - start)


def quantus():
    """Deletion against pixel flipping, of a batch, four images and one, and insertion of the batch; and ours in bf16
    against its default. In bf16 the network as it was built too: Quantus takes it as it is, `curve` gives it pictures
    with channels last. Each in a process of its own: `curve` keeps memory that is freed, and in one process Quantus
    would have it, too."""
    peer('quantus', 'quantus')
    found = {}
    for n, way in ((BATCH, 'deletion'), (4, 'deletion'), (1, 'deletion'), (BATCH, 'insertion')):
        sides = deletions(x[:n], y[:n], gen, 'cpu', STEPS, way == 'insertion')
        t = {(who, k): [] for k in KINDS for who in sides}
        for _ in range(1 if SMALL else 3):
            for (who, k), seconds in t.items(): seconds.append(float(asked('deletion', who, k, n, way)))
        t = {', '.join(kind): v for kind, v in t.items()}
        found[f'{n} images, {way}'] = compared(t, KINDS, sides) | dict(images=n, steps=STEPS)
    return found


if sys.argv[1:2] == ['deletion']: sys.exit(deletion(*sys.argv[2:6]))
if sys.argv[1:2] == ['grow']:
    before = psutil.Process().memory_info().rss
    ROUTES[sys.argv[2]]()
    print(most_resident() - before)
    sys.exit()
parts = dict(against_forward=against_forward, against_numpy=against_numpy, memory=memory,
             against_package=against_package, against_quantus=quantus)
save_parts('cam' if UNITS else 'cam-fp32', parts, lambda: dict(load=psutil.getloadavg()[0]))
