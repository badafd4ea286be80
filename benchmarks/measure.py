"""How the benchmarks measure: ways take turns, a ratio is the median of the ratios of turns, and what was measured is
saved with the machine, part after part. `--small` after a script's name tries it with little, and writes nothing.
"""
import json, statistics, sys, time
from importlib.util import find_spec
from pathlib import Path
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from inspectkit.runs import provenance, whole
from inspectkit.train import autocast

SMALL = '--small' in sys.argv
NAMED = [a for a in sys.argv[1:] if not a.startswith('-')]


class Absent(Exception): "A package to compare with is not installed."


def peer(module, package):
    if not find_spec(module): raise Absent(f'{package} is absent: pip install {package}')


def clock_of(device):
    "Of a GPU the clock, when it is done; else seconds of the processor, which others on the machine do not lengthen."
    def waited():
        torch.cuda.synchronize()
        return time.perf_counter()
    return waited if device == 'cuda' else time.process_time


def turns(ways, repeats, clock=time.perf_counter):
    "Seconds of each way at each turn, after one warm-up; they take turns, so that a busy moment hits all."
    times = {k: [] for k in ways}
    for r in range(2 if SMALL else repeats + 1):
        for k, f in ways.items():
            start = clock()
            f()
            if r: times[k].append(clock() - start)
    return times


def medians(times): return {k: statistics.median(v) for k, v in times.items()}
def ratio(t, a, b): return statistics.median(i/j for i, j in zip(t[a], t[b]))


def alternate(ways, repeats):
    "Median seconds of each way."
    return medians(turns(ways, repeats))


def save(name, result):
    "Print and write `benchmarks/<name>.json`."
    rounded = json.loads(json.dumps(result), parse_float=lambda v: float(f'{float(v):.3g}'))
    written = dict(result=rounded, threads=torch.get_num_threads(), env=provenance('nbs/run_experiment.ipynb'))
    text = json.dumps(written, indent=1, ensure_ascii=False)
    if SMALL: return print(text)
    with whole(Path(__file__).with_name(f'{name}.json')) as part: part.write_text(text + '\n', encoding='utf-8')
    print(json.dumps(rounded, indent=1, ensure_ascii=False))


def save_parts(name, parts, about):
    """Measure part after part, or those named on the command line, and save after each; the others stay as they were.

    `about` gives what is said of the machine at a part. A part whose peer is absent is not measured: an error at the
    end.
    """
    if unknown := sorted(set(NAMED) - set(parts)): sys.exit(f"{', '.join(unknown)}: the parts are {', '.join(parts)}")
    path, absent, result = Path(__file__).with_name(f'{name}.json'), [], {}
    def said(env): return {k: env[k] for k in ('commit', 'cpu')}
    if path.is_file():
        before = json.loads(path.read_text(encoding='utf-8'))
        of_all = {k: v for k, v in before['result'].items() if k not in parts} | said(before['env'])
        result = {k: of_all | v for k, v in before['result'].items() if k in parts}
    for k in NAMED or parts:
        start = time.perf_counter()
        try: found = parts[k]()
        except Absent as e:
            absent.append(f'{k} is not measured, {e}')
            continue
        result[k] = found | about() | said(provenance('nbs/run_experiment.ipynb'))
        print(f'{k}, {time.perf_counter() - start:.0f} s', flush=True)
        save(name, result)
    if absent: sys.exit('\n'.join(absent))


def thousand_maps(size, gen, n=1000):
    "Maps as Grad-CAM makes them, 7x7, the same enlarged, and the true defects of planted scratches, stains and blobs."
    from inspectkit.cam import on_image
    from inspectkit.synthetic import parts
    mask = parts(400, size, seed=0)[2]
    mask = mask[mask.any(2).any(1)] # three in four have a defect
    mask = torch.cat([mask, mask.flip(1), mask.flip(2), mask.flip(1, 2)])[:n]
    attr = torch.rand(n, 7, 7, generator=gen)
    return attr, on_image(attr, (size, size)), mask


def agreement(a, b):
    "How coarse maps in another precision correlate, those that can be shown."
    from inspectkit.cam import correlation, flaw
    r = correlation(a, b)[torch.tensor([not flaw(m) for m in a])]
    return dict(mean=r.mean().item(), least=r.min().item(), maps=len(r))


class Floats(nn.Module): # Quantus turns the logits into an array, and NumPy has no bf16
    def forward(self, logits): return logits.float()


def deletions(x, y, gen, device, steps, insert=False):
    """Quantus's pixel flipping and our curve, each of a network and a precision, with the same maps. It takes pixels a
    channel at a time: its steps are to divide the image's area. It has no insertion, but of maps turned upside down it
    takes what matters least first, and that, read from the end, is the same."""
    peer('quantus', 'quantus')
    from quantus import PixelFlipping
    from inspectkit.cam import on_image
    from inspectkit.cam_metrics import curve
    n, side = len(x), x.shape[-1]
    cam = on_image(torch.rand(n, 7, 7, generator=gen), (side, side))
    metric = PixelFlipping(features_in_step=3*side*side//steps, perturb_baseline=0., abs=False, normalise=False,
                           disable_warnings=True)
    given = dict(x_batch=x.numpy(), y_batch=y.numpy(), a_batch=(1 - cam if insert else cam)[:, None].numpy(),
                 channel_first=True, device=device)
    def theirs(net, precision):
        model = nn.Sequential(net, Floats()).eval()
        with autocast(device, precision): return torch.tensor(metric(model=model, **given))
    def ours(net, precision):
        there = (v.to(device) for v in (x, y, cam))
        with autocast(device, precision): got = curve(net, *there, insert, steps).cpu()
        return got.flip(1) if insert else got
    return dict(quantus=theirs, inspectkit=ours)


def compared(t, kinds, sides):
    "Ratios by kind, of ours in the last kind against Quantus in the first, and how far both are apart in the first."
    (first, given), *_, (fast, _) = kinds.items()
    theirs, ours = (f(*given) for f in sides.values())
    return dict(seconds=medians(t), ratio={k: ratio(t, f'quantus, {k}', f'inspectkit, {k}') for k in kinds} | {
                    f'{fast} against its default': ratio(t, f'quantus, {first}', f'inspectkit, {fast}')},
                largest_difference_fp32=(ours[:, 1:] - theirs).abs().max().item())


def two_epochs(net, opt_name, floats, labels, x, y, mean, std, device, precision, batch_size=32):
    "The shortest loop, whose batches are there, on floats and labels; and ours from the bytes, warps included."
    from copy import deepcopy
    from inspectkit.train import make_optimizer, nearer, train_epoch
    bare, own = (deepcopy(net).to(device, memory_format=torch.channels_last).train() for _ in range(2))
    opt, own_opt = (make_optimizer(opt_name, n.parameters(), 1e-5) for n in (bare, own))
    x, y = nearer(x, own), nearer(y, own) # as `fit` does
    gen = torch.Generator().manual_seed(0)
    def shortest():
        for xb, yb in zip(floats.split(batch_size), labels.split(batch_size)):
            with autocast(device, precision): loss = cross_entropy(bare(xb), yb)
            opt.zero_grad(); loss.backward(); opt.step()
    return shortest, lambda: train_epoch(own, own_opt, x, y, mean, std, batch_size, gen, precision, {})
