"""What a GPU does as a processor does, and how fast: warps, training, precision, activation maps and their numbers.

Ways take turns, a ratio is of their medians, and every time waits for the GPU to be done. 224 pixels, batches of 32.
"""
import json, time
from copy import deepcopy
from importlib.util import find_spec
import numpy as np, torch
from torch import nn
from torch.nn.functional import cross_entropy
from captum.attr import LayerGradCam
from measure import alternate, save
from inspectkit.augment import channel_stats, draw_affine, normalise, warp
from inspectkit.cam import correlation, explain, find_layer, flaw, grad_cam, on_image
from inspectkit.cam_metrics import curve, hits, one_hit
from inspectkit.models import build
from inspectkit.synthetic import parts
from inspectkit.train import autocast, make_optimizer, train_epoch

BATCH, SIZE, LAST = 32, 224, torch.channels_last
OPTIMIZER = dict(cnn5='rmsprop', alexnet='adam', resnet18='sgd', efficientnet_lite0='adamw') # S1's, and ours
gen = torch.Generator().manual_seed(0)


def seconds(ways, repeats=10):
    "Of each way, the GPU waited for."
    def waited(f):
        def run():
            f()
            torch.cuda.synchronize()
        return run
    return alternate({k: waited(f) for k, f in ways.items()}, repeats)


def peak(f):
    "Bytes on the GPU at most during a call, beyond what there was."
    f()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    f()
    return torch.cuda.max_memory_allocated() - before


def warps():
    "The same batch through the same maps on both: differences in grey levels of 255, zeros outside included."
    result, x = {}, (255*parts(256, SIZE, seed=0)[0]).byte()
    for name, own in dict(colour=x, grey=x[:, :1]).items():
        matrix = draw_affine(len(x), gen)
        t = {}
        for device in 'cpu', 'cuda':
            there = own.to(device)
            t |= seconds({device: lambda: warp(there, matrix)}, 5)
        apart = (warp(own.cuda(), matrix).cpu() - warp(own, matrix)).abs()
        result[name] = dict(largest=apart.max().item(), mean=apart.mean().item(),
                            share_above_hundredth=(apart > .01).double().mean().item(), seconds_for_256_images=t)
    return result


def training():
    "Our epoch, warps included, against the bare loop on batches that lie ready; bf16 against fp32 (or TF32)."
    x, y = (255*parts(2048, SIZE, seed=0)[0]).byte(), torch.arange(2048) % 4
    mean, std = channel_stats(x)
    floats, there, result = normalise(x, mean, std).cuda(), y.cuda(), {}
    for model, opt_name in OPTIMIZER.items():
        def start():
            net = build(model, 4).cuda().to(memory_format=LAST).train()
            return net, make_optimizer(opt_name, net.parameters(), 1e-5)
        def bare(precision):
            net, opt = start()
            def epoch():
                for xb, yb in zip(floats.split(BATCH), there.split(BATCH)):
                    with autocast('cuda', precision): loss = cross_entropy(net(xb), yb)
                    opt.zero_grad(); loss.backward(); opt.step()
            return epoch
        def ours(precision):
            (net, opt), own = start(), torch.Generator().manual_seed(0)
            return lambda: train_epoch(net, opt, x, y, mean, std, BATCH, own, precision, {})
        t = seconds({f'{who} {p}': f(p) for p in ('bf16', 'fp32') for who, f in dict(bare=bare, ours=ours).items()}, 3)
        result[model] = dict(seconds_for_2048_images=t, ours_against_bare={
            p: t[f'bare {p}']/t[f'ours {p}'] for p in ('bf16', 'fp32')},
            bf16_against_fp32=t['bare fp32']/t['bare bf16'])
        print(model, result[model], flush=True)
    return result


def maps():
    "Grad-CAM of ResNet18 against its forward pass, the package grad-cam and Captum alone."
    x, y = torch.randn(BATCH, 3, SIZE, SIZE, generator=gen).cuda(), (torch.arange(BATCH) % 4).cuda()
    plain = build('resnet18', 4).eval().cuda()
    last, x_last = deepcopy(plain).to(memory_format=LAST), x.contiguous(memory_format=LAST)
    def under(f, precision):
        def run():
            with autocast('cuda', precision): return f()
        return run
    def forward(net, x):
        with torch.no_grad(): return net(x)
    ways, kinds = {}, {'fp32': (plain, x, 'fp32'), 'bf16, channels last': (last, x_last, 'bf16')}
    for kind, (net, own, precision) in kinds.items():
        ways |= {f'forward, {kind}': under(lambda net=net, own=own: forward(net, own), precision),
                 f'grad_cam, {kind}': under(lambda net=net, own=own: grad_cam(net, own, y), precision)}
    def captum(): return LayerGradCam(plain, find_layer(plain)).attribute(x, y, relu_attributions=True)
    if package := find_spec('pytorch_grad_cam'):
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
        theirs, targets = GradCAM(plain, [find_layer(plain)]), [ClassifierOutputTarget(int(t)) for t in y]
        ways |= {'grad-cam, fp32': lambda: theirs(x, targets),
                 'inspectkit to the size of the image, fp32': lambda: explain('grad_cam', plain, x, y)}
    t = seconds(ways, 20)
    a, b = (under(lambda n=n, i=i: explain('grad_cam', n, i, y)[1], p)() for n, i, p in kinds.values())
    r = correlation(a, b)[torch.tensor([not flaw(m) for m in a])]
    most = {k: peak(f)/1e6 for k, f in dict(forward=lambda: forward(plain, x), inspectkit=lambda: grad_cam(plain, x, y),
                                            captum=captum).items()}
    return dict(seconds_a_batch=t, peak_MB=most, peak_against_captum=most['inspectkit']/most['captum'],
                grad_cam_against_forward={k: t[f'grad_cam, {k}']/t[f'forward, {k}'] for k in kinds},
                against_package=t['grad-cam, fp32']/t['inspectkit to the size of the image, fp32'] if package else None,
                correlation_bf16_with_fp32=dict(mean=r.mean().item(), least=r.min().item(), maps=len(r)))


def places():
    "Pointing, mass and IoU of 1,000 maps that lie on the GPU, against a loop in NumPy over maps that lie beside it."
    mask = parts(400, SIZE, seed=0)[2]
    mask = mask[mask.any(2).any(1)]
    mask = torch.cat([mask, mask.flip(1), mask.flip(2), mask.flip(1, 2)])[:1000]
    cam = on_image(torch.rand(1000, 7, 7, generator=gen), (SIZE, SIZE))
    there, cams, masks = (cam.cuda(), mask.cuda()), cam.flatten(1).numpy(), mask.flatten(1).numpy()
    def loop(): return torch.tensor(np.array([one_hit(*p, .5) for p in zip(cams, masks)]))
    torch.testing.assert_close(hits(*there).double(), loop(), rtol=1e-4, atol=1e-5, equal_nan=True)
    t = seconds({'numpy loop': loop, 'inspectkit': lambda: hits(*there),
                 'inspectkit, maps brought there': lambda: hits(cam.cuda(), mask)}, 7)
    return dict(seconds_for_1000=t, ratio={k: t['numpy loop']/v for k, v in t.items()})


class Floats(nn.Module): # Quantus turns the logits into an array, and NumPy has no bf16
    def forward(self, logits): return logits.float()


def deletion(n=BATCH, steps=12):
    "Deletion curves against Quantus's pixel flipping: its steps are to divide the image's area."
    if not find_spec('quantus'): return print('quantus is absent and not measured')
    from quantus import PixelFlipping
    x, y = torch.randn(n, 3, SIZE, SIZE, generator=gen), torch.arange(n) % 4
    cam = on_image(torch.rand(n, 7, 7, generator=gen), (SIZE, SIZE))
    net = build('resnet18', 4).eval().cuda()
    last = deepcopy(net).to(memory_format=LAST)
    metric = PixelFlipping(features_in_step=3*SIZE*SIZE//steps, perturb_baseline=0., abs=False, normalise=False,
                           disable_warnings=True)
    given = dict(x_batch=x.numpy(), y_batch=y.numpy(), a_batch=cam[:, None].numpy(), channel_first=True, device='cuda')
    def theirs(net, precision):
        model = nn.Sequential(net, Floats()).eval()
        with autocast('cuda', precision): return torch.tensor(metric(model=model, **given))
    def ours(net, precision):
        with autocast('cuda', precision): return curve(net, x.cuda(), y.cuda(), cam.cuda(), steps=steps).cpu()
    kinds = {'fp32': (net, 'fp32'), 'bf16': (last, 'bf16')}
    t = seconds({f'{who}, {k}': lambda f=f, a=a: f(*a) for k, a in kinds.items()
                 for who, f in (('quantus', theirs), ('inspectkit', ours))}, 3)
    return dict(seconds=t, images=n, steps=steps,
                ratio={k: t[f'quantus, {k}']/t[f'inspectkit, {k}'] for k in kinds},
                largest_difference_fp32=(ours(*kinds['fp32'])[:, 1:] - theirs(*kinds['fp32'])).abs().max().item())


result = dict(device=torch.cuda.get_device_name())
for measured in warps, maps, places, deletion, training:
    start = time.perf_counter()
    try: result[measured.__name__] = measured()
    except Exception as e: result[measured.__name__] = dict(failed=f'{type(e).__name__}: {e}')
    spent = time.perf_counter() - start
    print(f'{measured.__name__}, {spent:.0f} s:', json.dumps(result[measured.__name__]), flush=True)
save('gpu', result)
