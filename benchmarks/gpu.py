"""What a GPU does as a processor does, and how fast: warps, training, precision, activation maps and their numbers.

Ways take turns, a ratio is the median of the ratios of turns, and every time waits for the GPU to be done. 224 pixels,
batches of 32 but where others are named. Names of parts on the command line: only these. `--small` does without a GPU.
"""
import sys
from copy import deepcopy
import numpy as np, torch
from captum.attr import LayerGradCam
from measure import (SMALL, agreement, clock_of, compared, deletions, medians, peer, ratio, save_parts, thousand_maps,
                     turns, two_epochs)
from inspectkit.augment import channel_stats, draw_affine, normalise, warp
from inspectkit.cam import explain, find_layer, grad_cam
from inspectkit.cam_metrics import each_hit, enlarged, hits
from inspectkit.models import build
from inspectkit.synthetic import parts
from inspectkit.train import autocast

if not (SMALL or torch.cuda.is_available()): sys.exit('there is no GPU here')
BATCH, SIZE, LAST = (2, 96, torch.channels_last) if SMALL else (32, 224, torch.channels_last)
N, DEVICE = 4 if SMALL else 2048, 'cuda' if torch.cuda.is_available() else 'cpu'
CLOCK = clock_of(DEVICE)
OPTIMIZER = dict(cnn5='rmsprop', alexnet='adam', resnet18='sgd', efficientnet_lite0='adamw') # S1's, and ours
gen = torch.Generator().manual_seed(0)


def peak(f):
    "Bytes on the GPU at most during a call, beyond what there was."
    f()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    f()
    return torch.cuda.max_memory_allocated() - before


def warps():
    "The same batch through the same maps on both: differences in grey levels of 255, zeros outside included."
    result, x = {}, (255*parts(8*BATCH, SIZE, seed=0)[0]).byte()
    for name, own in dict(colour=x, grey=x[:, :1]).items():
        matrix, there = draw_affine(len(x), gen), own.to(DEVICE)
        t = turns({'cpu': lambda: warp(own, matrix), 'gpu': lambda: warp(there, matrix)}, 5, CLOCK)
        apart = (warp(there, matrix).cpu() - warp(own, matrix)).abs()
        result[name] = dict(largest=apart.max().item(), mean=apart.mean().item(), seconds_for_256_images=medians(t),
                            share_above_hundredth=(apart > .01).double().mean().item())
    return result


def training():
    "Our epoch, warps included, against the bare loop on batches that lie ready; bf16 against fp32 (or TF32)."
    x, y = (255*parts(N, SIZE, seed=0)[0]).byte(), torch.arange(N) % 4
    mean, std = channel_stats(x)
    floats, there, result = normalise(x, mean, std).to(DEVICE), y.to(DEVICE), {}
    for model, opt_name in OPTIMIZER.items():
        ways, net = {}, build(model, 4)
        for p in 'bf16', 'fp32':
            two = two_epochs(net, opt_name, floats, there, x, y, mean, std, DEVICE, p, BATCH)
            ways |= {f'bare {p}': two[0], f'ours {p}': two[1]}
        t = turns(ways, 3, CLOCK)
        result[model] = dict(seconds_for_2048_images=medians(t), bf16_against_fp32=ratio(t, 'bare fp32', 'bare bf16'),
                             ours_against_bare={p: ratio(t, f'bare {p}', f'ours {p}') for p in ('bf16', 'fp32')})
        print(model, result[model], flush=True)
    return result


def networks():
    "Precisions: a network, how its images lie in memory, the name of the precision."
    plain = build('resnet18', 4).eval().to(DEVICE)
    last = deepcopy(plain).to(memory_format=LAST)
    return {'fp32': (plain, torch.contiguous_format, 'fp32'), 'bf16, channels last': (last, LAST, 'bf16')}


def by_batch(n):
    "Grad-CAM of n images against its forward pass, the package grad-cam and Captum alone."
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    x, y = torch.randn(n, 3, SIZE, SIZE, generator=gen).to(DEVICE), torch.arange(n) % 4
    def under(f, precision):
        def run():
            with autocast(DEVICE, precision): return f()
        return run
    def forward(net, x):
        with torch.no_grad(): return net(x)
    ways, kinds = {}, {k: (net, x.contiguous(memory_format=m), p) for k, (net, m, p) in networks().items()}
    for kind, (net, own, precision) in kinds.items():
        ways |= {f'forward, {kind}': under(lambda net=net, own=own: forward(net, own), precision),
                 f'grad_cam, {kind}': under(lambda net=net, own=own: grad_cam(net, own, y), precision)}
    plain = kinds['fp32'][0]
    hooked = deepcopy(plain) # its hooks stay on the network, and copy activations to the processor at every pass
    theirs, targets = GradCAM(hooked, [find_layer(hooked)]), [ClassifierOutputTarget(int(t)) for t in y]
    ours, enlarged = 'inspectkit to the size of the image, fp32', lambda: explain('grad_cam', plain, x, y, batch_size=n)
    t = turns(ways | {'grad-cam, fp32': lambda: theirs(x, targets), ours: enlarged}, 20, CLOCK)
    a, b = (under(lambda net=net, i=i: explain('grad_cam', net, i, y)[1], p)() for net, i, p in kinds.values())
    def captum(): return LayerGradCam(plain, find_layer(plain)).attribute(x, y.to(DEVICE), relu_attributions=True)
    routes = dict(forward=lambda: forward(plain, x), inspectkit=lambda: grad_cam(plain, x, y), captum=captum)
    most = {k: peak(f)/1e6 for k, f in routes.items()} if DEVICE == 'cuda' else {}
    memory = dict(peak_MB=most, peak_against_captum=most['inspectkit']/most['captum']) if most else {}
    return dict(seconds_a_batch=medians(t), **memory,
                grad_cam_against_forward={k: ratio(t, f'grad_cam, {k}', f'forward, {k}') for k in kinds},
                against_package=ratio(t, 'grad-cam, fp32', ours), correlation_bf16_with_fp32=agreement(a, b))


def maps():
    "Batches of 32, which do not fill a large card, and larger ones."
    peer('pytorch_grad_cam', 'grad-cam')
    found = {str(n): by_batch(n) for n in ((2,) if SMALL else (32, 64, 128, 256))}
    for n, r in found.items(): print(n, r['grad_cam_against_forward'], r['against_package'], flush=True)
    return dict(batches=found)


def places():
    "Pointing, mass and IoU of 1,000 maps that lie on the GPU, against a loop in NumPy over maps that lie beside it."
    _, cam, mask = thousand_maps(SIZE, gen)
    there, masks = (cam.to(DEVICE), mask.to(DEVICE)), mask.flatten(1).numpy()
    def loop(): return torch.tensor(np.array([*each_hit(enlarged(cam, mask.shape[1:]), masks, .5)]))
    torch.testing.assert_close(hits(*there).double(), loop(), rtol=1e-4, atol=1e-5, equal_nan=True)
    t = turns({'numpy loop': loop, 'inspectkit': lambda: hits(*there),
               'inspectkit, maps brought there': lambda: hits(cam.to(DEVICE), mask)}, 7, CLOCK)
    return dict(seconds_for_1000=medians(t), ratio={k: ratio(t, 'numpy loop', k) for k in t})


def deletion():
    "Deletion curves against Quantus's pixel flipping."
    kinds = {k.split(',')[0]: (net, p) for k, (net, _, p) in networks().items()}
    x, steps = torch.randn(BATCH, 3, SIZE, SIZE, generator=gen), 12
    sides = deletions(x, torch.arange(BATCH) % 4, gen, DEVICE, steps)
    t = turns({f'{who}, {k}': lambda f=f, a=a: f(*a) for k, a in kinds.items() for who, f in sides.items()}, 3, CLOCK)
    return compared(t, kinds, sides) | dict(images=BATCH, steps=steps)


name = torch.cuda.get_device_name() if DEVICE == 'cuda' else 'none'
save_parts('gpu', dict(warps=warps, maps=maps, places=places, deletion=deletion, training=training),
           lambda: dict(device=name))
