"""Class activation maps and their numbers: what they cost beside a forward pass, the package grad-cam, Captum alone, a
numpy loop and Quantus.

Grad-CAM at the last stage of ResNet18, 224 pixels, batches of 32. Ways take turns, and a ratio is the median of the
ratios of turns. One thread, and seconds of the processor rather than of the clock, so that it can be measured while
others use the machine. Agreement is stated beside every speed. Memory is measured twice: what the allocator gives at
most during a call (torch.profiler), and how far a process of its own grows.
"""
import json, re, statistics, subprocess, sys, time
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
import numpy as np, psutil, torch
from torch import nn
from captum.attr import LayerGradCam
from torch.profiler import ProfilerActivity, profile
from measure import save, turns
from inspectkit.cam import correlation, explain, find_layer, flaw, grad_cam, on_image
from inspectkit.cam_metrics import curve, hits
from inspectkit.models import build
from inspectkit.synthetic import parts
from inspectkit.train import autocast

BATCH, SIZE, LAST = 32, 224, torch.channels_last
torch.set_num_threads(1)
gen = torch.Generator().manual_seed(0)
x, y = torch.randn(BATCH, 3, SIZE, SIZE, generator=gen), torch.arange(BATCH) % 4
plain = build('resnet18', 4).eval()
last = deepcopy(plain).to(memory_format=LAST)
x_last = x.contiguous(memory_format=LAST)


def seconds(ways, repeats): return turns(ways, repeats, time.process_time)
def ratio(t, a, b): return statistics.median(i/j for i, j in zip(t[a], t[b]))


def forward(net, x, precision='fp32'):
    with torch.no_grad(), autocast('cpu', precision): net(x)


def maps(net, x, precision='fp32'):
    with autocast('cpu', precision): return explain('grad_cam', net, x, y, batch_size=BATCH)


def coarse(net, x, precision='fp32'):
    with autocast('cpu', precision): return grad_cam(net, x, y)


def against_forward():
    "The map as coarse as the layer, and enlarged to the image, against the forward pass alone."
    kinds = {'fp32': (plain, x), 'fp32, channels last': (last, x_last), 'bf16, channels last': (last, x_last, 'bf16')}
    ways = {f'{what}, {k}': lambda f=f, a=a: f(*a) for k, a in kinds.items()
            for what, f in (('forward', forward), ('grad_cam', coarse), ('explain', maps))}
    t = seconds(ways, 5)
    a, b = maps(plain, x)[1], maps(last, x_last, 'bf16')[1]
    shown = torch.tensor([not flaw(m) for m in a])
    r = correlation(a, b)[shown]
    return dict(seconds_a_batch={k: statistics.median(v) for k, v in t.items()},
                grad_cam_against_forward={k: ratio(t, f'grad_cam, {k}', f'forward, {k}') for k in kinds},
                explain_against_forward={k: ratio(t, f'explain, {k}', f'forward, {k}') for k in kinds},
                correlation_bf16_with_fp32=dict(mean=r.mean().item(), least=r.min().item(), maps=len(r)))


def against_package():
    "The package as its manual has it, and, at equal precision, under autocast with its arrays made floats."
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    targets = [ClassifierOutputTarget(int(t)) for t in y]
    default, cast = (GradCAM(n, [find_layer(n)], reshape_transform=f) for n, f in ((plain, None), (deepcopy(last),
                     lambda a: a.float())))
    def theirs_bf16():
        with autocast('cpu', 'bf16'): return cast(x_last, targets)
    ways = {'grad-cam, fp32': lambda: default(x, targets), 'inspectkit, fp32': lambda: maps(plain, x),
            'grad-cam, bf16, channels last': theirs_bf16,
            'inspectkit, bf16, channels last': lambda: maps(last, x_last, 'bf16')}
    t = seconds(ways, 3)
    attr, theirs = maps(plain, x)[1], torch.from_numpy(default(x, targets))
    low = attr.amin((1, 2), True)
    ours = on_image(attr - low, (SIZE, SIZE)) # theirs is stretched from the smallest value of a map
    shown = torch.tensor([not flaw(a) for a in attr])
    theirs /= theirs.amax((1, 2), True)
    return dict(images_per_second={k: BATCH/statistics.median(v) for k, v in t.items()},
                ratio={'fp32': ratio(t, 'grad-cam, fp32', 'inspectkit, fp32'),
                       'bf16': ratio(t, 'grad-cam, bf16, channels last', 'inspectkit, bf16, channels last'),
                       'bf16 against its default': ratio(t, 'grad-cam, fp32', 'inspectkit, bf16, channels last')},
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


def grown(route):
    "Bytes by which a process of its own grows at most during its first call."
    call = sys.executable, __file__, 'grow', route
    return int(subprocess.run(call, check=True, capture_output=True, text=True).stdout)


def memory():
    given = {k: allocated(f) for k, f in ROUTES.items()}
    rss = {k: statistics.median(grown(k) for _ in range(3)) for k in ROUTES}
    return dict(allocated_MB={k: v/1e6 for k, v in given.items()}, process_grows_MB={k: v/1e6 for k, v in rss.items()},
                inspectkit_against_captum=dict(allocated=given['inspectkit']/given['captum'],
                                               process=rss['inspectkit']/rss['captum']))


def one_by_one(cams, masks, threshold=.5):
    "What one writes first: the same rules and checks, a map at a time."
    out = []
    for cam, mask in zip(cams, masks):
        if cam.min() < 0: raise ValueError('cam is to be at least 0')
        if not (cam.max() > 0 and mask.any()):
            out.append((np.nan, np.nan, np.nan))
            continue
        high = cam >= threshold*cam.max()
        hit = mask[np.unravel_index(cam.argmax(), cam.shape)]
        out.append((hit, cam[mask].sum()/cam.sum(), (high & mask).sum()/(high | mask).sum()))
    return np.array(out)


def against_numpy():
    "1,000 maps as Grad-CAM makes them, 7x7 enlarged, and the true defects of planted scratches, stains and blobs."
    mask = parts(400, SIZE, seed=0)[2]
    mask = mask[mask.any(2).any(1)] # three in four have a defect
    mask = torch.cat([mask, mask.flip(1), mask.flip(2), mask.flip(1, 2)])[:1000]
    cam = on_image(torch.rand(1000, 7, 7, generator=gen), (SIZE, SIZE))
    cams, masks = cam.numpy(), mask.numpy()
    t = seconds({'numpy loop': lambda: one_by_one(cams, masks), 'inspectkit': lambda: hits(cam, mask)}, 15)
    torch.testing.assert_close(hits(cam, mask).double(), torch.tensor(one_by_one(cams, masks)).double(),
                               rtol=1e-4, atol=1e-5, equal_nan=True)
    return dict(seconds_for_1000={k: statistics.median(v) for k, v in t.items()},
                ratio=ratio(t, 'numpy loop', 'inspectkit'), mean_share_of_defect=mask.float().mean().item())


class Floats(nn.Module): # Quantus turns the logits into an array, and NumPy has no bf16
    def forward(self, logits): return logits.float()


def against_quantus(n=4, steps=12):
    "Steps of a twelfth: Quantus takes pixels a channel at a time, and its steps are to divide the image's area."
    from quantus import PixelFlipping
    cam = on_image(torch.rand(n, 7, 7, generator=gen), (SIZE, SIZE))
    metric = PixelFlipping(features_in_step=3*SIZE*SIZE//steps, perturb_baseline=0., abs=False, normalise=False,
                           disable_warnings=True)
    given = dict(x_batch=x[:n].numpy(), y_batch=y[:n].numpy(), a_batch=cam[:, None].numpy(), channel_first=True)
    def theirs(net, precision):
        with autocast('cpu', precision): return torch.tensor(metric(model=nn.Sequential(net, Floats()).eval(), **given))
    def ours(net, precision):
        with autocast('cpu', precision): return curve(net, x[:n], y[:n], cam, steps=steps)
    kinds = {'fp32': (plain, 'fp32'), 'bf16, channels last': (last, 'bf16')}
    t = seconds({f'{who}, {k}': lambda f=f, a=a: f(*a) for k, a in kinds.items()
               for who, f in (('quantus', theirs), ('inspectkit', ours))}, 3)
    return dict(seconds={k: statistics.median(v) for k, v in t.items()}, images=n, steps=steps,
                ratio={k: ratio(t, f'quantus, {k}', f'inspectkit, {k}') for k in kinds} | {
                    'bf16 against its default': ratio(t, 'quantus, fp32', 'inspectkit, bf16, channels last')},
                largest_difference_fp32=(ours(*kinds['fp32'])[:, 1:] - theirs(*kinds['fp32'])).abs().max().item())


def with_peer(module, package, measured):
    if find_spec(module): return measured()
    print(f'{package} is absent and not measured: pip install {package}', flush=True)


if sys.argv[1:2] == ['grow']:
    before = psutil.Process().memory_info().rss
    ROUTES[sys.argv[2]]()
    print(most_resident() - before)
    sys.exit()
result = dict(load_before=psutil.getloadavg()[0])
for name, measured in dict(
        against_forward=against_forward, against_numpy=against_numpy, memory=memory,
        against_package=lambda: with_peer('pytorch_grad_cam', 'grad-cam', against_package),
        against_quantus=lambda: with_peer('quantus', 'quantus', against_quantus)).items():
    result[name] = measured()
    print(name, json.dumps(result[name]), flush=True)
save('cam', result | dict(load_after=psutil.getloadavg()[0]))
