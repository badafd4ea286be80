"""How two sets of maps differ: whole sets from their 7x7 numbers, against SciPy in a loop over pairs of enlarged maps.

1,000 maps a set, seen at 224 pixels. The loop is given its maps enlarged and scaled, and that is not counted; ours
starts from 7x7, and enlarging and scaling are. It has them as float64, where the numbers agree, and again as float32,
in which SciPy is faster and less exact. Ways take turns, and a ratio is the median of the ratios of turns. One thread,
and seconds of the processor rather than of the clock, so that it can be measured while others use the machine.
"""
import math
import numpy as np, psutil, scipy, torch
from scipy import ndimage, signal, stats
from torch.nn.functional import interpolate
from measure import SMALL, clock_of, medians, ratio, save, turns
from inspectkit.cam_change import centroid, changes, pearson, prediction_kl

N, SIZE = 20 if SMALL else 1000, (224, 224)
torch.set_num_threads(1)
gen = torch.Generator().manual_seed(0)
cam, base = (torch.randn(2, N, 7, 7, generator=gen) + .5).relu() # as Grad-CAM's: at least 0, a third of the places 0
prob, base_prob = torch.randn(2, N, 10, generator=gen).softmax(2)
PLACE = np.indices(SIZE).astype(float)


def pixels(cam):
    "Enlarged by PyTorch, and scaled from their lowest pixel to their highest."
    fine = interpolate(cam.double()[:, None], SIZE, mode='bilinear')[:, 0]
    low, high = fine.amin((1, 2), True), fine.amax((1, 2), True)
    return ((fine - low)/(high - low)).numpy()


def pearson_and_centroids(a, b):
    "The two of one pair, by SciPy."
    return [stats.pearsonr(a.ravel(), b.ravel()).statistic, *ndimage.center_of_mass(a), *ndimage.center_of_mass(b)]


def spread(a, middle): return (a*((PLACE - np.array(middle)[:, None, None])**2).sum(0)).sum()/a.sum()
def fields(a): return np.array([f.sum() for r in np.array_split(a, [75, 150], 0)
                                for f in np.array_split(r, [75, 150], 1)])/a.sum()


def all_of_one_pair(a, b, p, q):
    "What one writes first for one pair: SciPy where it has the number, NumPy for the rest."
    high_a, high_b, centred_a, centred_b = a >= .5, b >= .5, a - a.mean(), b - b.mean()
    g, h = ndimage.center_of_mass(a), ndimage.center_of_mass(b)
    c = signal.correlate(centred_a, centred_b, method='fft')/math.sqrt((centred_a**2).sum()*(centred_b**2).sum())
    peak = np.unravel_index(c.argmax(), c.shape)
    return dict(
        mean_absolute_difference=abs(a - b).mean(), mean_squared_difference=((a - b)**2).mean(),
        pearson=stats.pearsonr(a.ravel(), b.ravel()).statistic,
        spearman=stats.spearmanr(a.ravel(), b.ravel()).statistic,
        overlap_rate=(high_a & high_b).sum()/(high_a | high_b).sum(), centroid_shift=math.dist(g, h),
        moved=abs(fields(a) - fields(b)).sum()/2, dispersion=spread(a, g) - spread(b, h), cross_correlation=c[peak],
        lag=math.hypot(*(i - s + 1 for i, s in zip(peak, SIZE))), prediction_kl=stats.entropy(q, p))


def ours_first(): return torch.cat([pearson(cam, base, SIZE)[:, None], centroid(cam, SIZE), centroid(base, SIZE)], 1)
def ours_all(): return changes(cam, base, SIZE) | dict(prediction_kl=prediction_kl(prob, base_prob))
def loop_first(a, b): return [pearson_and_centroids(*pair) for pair in zip(a, b)]
def loop_all(a, b):
    said = (v.double().numpy() for v in (prob, base_prob))
    return [all_of_one_pair(*four) for four in zip(a, b, *said)]


def compare(ours, loop, repeats):
    "Seconds for the set, and how many times as long the loop takes."
    t = turns({'inspectkit': ours, 'loop, float64': lambda: loop(*double), 'loop, float32': lambda: loop(*single)},
              repeats, clock_of('cpu'))
    return dict(seconds_for_1000=medians(t),
                ratio={k: ratio(t, f'loop, {k}', 'inspectkit') for k in ('float64', 'float32')})


def beside(difference, value):
    "The largest difference, as a share of the value where that is above 1, as dispersions in pixels are."
    return (difference.abs()/value.abs().clamp(min=1)).max().item()


result = dict(load_before=psutil.getloadavg()[0], scipy=scipy.__version__)
double = pixels(cam), pixels(base)
single = [v.astype(np.float32) for v in double]
result['pearson_and_centroids'] = compare(ours_first, loop_first, 7)
found, by_loop = ours_first(), torch.tensor(np.array(loop_first(*double)))
result['pearson_and_centroids']['largest_difference'] = beside(found - by_loop, by_loop)
print(result['pearson_and_centroids'], flush=True)
result['all'] = compare(ours_all, loop_all, 3)
found, by_loop = ours_all(), loop_all(*double)
by_loop = {k: torch.tensor([one[k] for one in by_loop], dtype=torch.float64) for k in found}
result['all']['largest_difference'] = {k: beside(v - by_loop[k], by_loop[k]) for k, v in found.items()}
assert not any(v.isnan().any() for v in found.values())
save('cam_change', result | dict(load_after=psutil.getloadavg()[0]))
