"How two maps differ: what must hold for any maps, and the same numbers from pixels, one pair at a time."
import math
import numpy as np, pytest, torch
from scipy import ndimage, signal, stats
from skimage import measure, metrics, registration
from torch.nn.functional import interpolate
from inspectkit.cam_change import averages, centroid, changes, cross_correlation, dispersion, overlap_rate, region_share

SIZES = {'7x7 to 224': ((7, 7), (224, 224)), 'oblong': ((4, 9), (50, 31)), 'odd factor': ((5, 5), (15, 35)),
         'as they are': ((12, 10), None), 'many places': ((22, 24), None), 'many, enlarged': ((22, 24), (60, 60))}
LIKE = ['pearson', 'spearman', 'overlap_rate', 'cross_correlation']


def maps(shape, n=12, seed=0, relu=True):
    "Pairs of maps; as of Grad-CAM, a third of the places zero."
    cam, base = torch.randn(2, n, *shape, generator=torch.Generator().manual_seed(seed)) + .4
    return (cam.relu(), (base + cam).relu()) if relu else (cam, base)


def pixels(cam, size):
    "Enlarged by PyTorch and scaled, pixel by pixel."
    fine = cam.double() if size is None else interpolate(cam.double()[:, None], size, mode='bilinear')[:, 0]
    low, high = fine.amin((1, 2), True), fine.amax((1, 2), True)
    return ((fine - low)/(high - low)).numpy()


def spread(a):
    middle = ndimage.center_of_mass(a)
    return sum((a*(i - m)**2).sum() for i, m in zip(np.indices(a.shape), middle))/a.sum()


def fields(a):
    cuts = [np.bincount(np.arange(s)*3//s).cumsum()[:-1] for s in a.shape]
    return np.array([f.sum() for r in np.split(a, cuts[0]) for f in np.split(r, cuts[1], 1)])/a.sum()


def one_pair(a, b):
    "All numbers of two scaled maps, by NumPy and SciPy."
    high_a, high_b, centred_a, centred_b = a >= .5 - 1e-9, b >= .5 - 1e-9, a - a.mean(), b - b.mean()
    c = signal.correlate(centred_a, centred_b, method='fft')/math.sqrt((centred_a**2).sum()*(centred_b**2).sum())
    return dict(
        mean_absolute_difference=abs(a - b).mean(), mean_squared_difference=((a - b)**2).mean(),
        pearson=stats.pearsonr(a.ravel(), b.ravel()).statistic,
        spearman=stats.spearmanr(a.ravel().round(9), b.ravel().round(9)).statistic, # a plateau is one value
        overlap_rate=(high_a & high_b).sum()/(high_a | high_b).sum(),
        centroid_shift=math.dist(ndimage.center_of_mass(a), ndimage.center_of_mass(b)),
        moved=abs(fields(a) - fields(b)).sum()/2, dispersion=spread(a) - spread(b), cross_correlation=c.max(),
        lag=math.dist(np.unravel_index(c.argmax(), c.shape), np.array(a.shape) - 1))


@pytest.mark.parametrize('relu', [True, False], ids=['relu', 'signed'])
@pytest.mark.parametrize('shape,size', SIZES.values(), ids=SIZES)
def test_equal_to_a_loop_over_pixels(shape, size, relu):
    cam, base = maps(shape, relu=relu)
    loop = [one_pair(*p) for p in zip(pixels(cam, size), pixels(base, size))]
    found = changes(cam, base, size)
    assert set(found) == set(loop[0])
    for k, v in found.items():
        torch.testing.assert_close(v, torch.tensor([float(one[k]) for one in loop]).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('shape,size', SIZES.values(), ids=SIZES)
def test_the_same_map(shape, size):
    cam = maps(shape, relu=False)[0]
    found = changes(cam, cam.clone(), size)
    for k in LIKE[:3]: assert (found[k] == 1).all(), k
    for k in set(found) - set(LIKE): assert (found[k] == 0).all(), k
    torch.testing.assert_close(found['cross_correlation'], torch.ones(len(cam)).double(), rtol=0, atol=1e-6)


def test_neither_scale_nor_offset_matters():
    cam, base = maps((7, 7), relu=False)
    first = changes(cam, base, (112, 112))
    for other in (changes(3*cam + 2, base, (112, 112)), changes(cam, .01*base - 5, (112, 112))):
        for k, v in first.items(): torch.testing.assert_close(other[k], v, rtol=1e-4, atol=1e-4)


def test_symmetry():
    "Whose map is called the baseline's changes no number but those with a direction, which turn round."
    cam, base = maps((7, 7), relu=False)
    there, back = changes(cam, base, (112, 112)), changes(base, cam, (112, 112))
    for k, v in there.items():
        torch.testing.assert_close(back[k], -v if k == 'dispersion' else v, rtol=1e-5, atol=1e-5)
    lag, turned = (cross_correlation(*pair, (112, 112))[1] for pair in ((cam, base), (base, cam)))
    torch.testing.assert_close(turned, -lag)


def test_mirrored_images():
    cam, base = maps((7, 7), relu=False)
    there, mirrored = changes(cam, base, (96, 96)), changes(cam.flip(2), base.flip(2), (96, 96))
    for k, v in there.items(): torch.testing.assert_close(mirrored[k], v, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(centroid(cam.flip(2), (96, 96))[:, 1], 95 - centroid(cam, (96, 96))[:, 1])
    torch.testing.assert_close(region_share(cam.flip(2), (96, 96)), region_share(cam, (96, 96)).flip(2))
    lag, turned = (cross_correlation(a, b, (96, 96))[1] for a, b in ((cam, base), (cam.flip(2), base.flip(2))))
    torch.testing.assert_close(turned, lag*torch.tensor([1, -1]))


def test_ranges():
    cam, base = maps((7, 7), n=200, relu=False)
    found = changes(cam, base, (56, 56))
    for k in LIKE + ['moved', 'mean_absolute_difference', 'mean_squared_difference']:
        low = -1 if k in ('pearson', 'spearman', 'cross_correlation') else 0
        assert low <= found[k].min() and found[k].max() <= 1, k
    assert (found['cross_correlation'] >= found['pearson'] - 1e-6).all() # no shift is one of the shifts
    assert (dispersion(cam, (56, 56)) >= 0).all()
    smaller = overlap_rate(cam, base, (56, 56), of='smaller')
    assert (smaller >= overlap_rate(cam, base, (56, 56))).all()


def test_constant_maps_are_counted_and_spoil_no_mean():
    cam, base = maps((7, 7), n=6)
    gaps = cam.clone()
    gaps[1], gaps[4] = 0, .7
    table, rest = averages(changes(gaps, base, (56, 56))), [0, 2, 3, 5]
    assert (table['undefined'] == 2).all() and (table['n'] == 4).all()
    alone = averages(changes(cam[rest], base[rest], (56, 56)))
    np.testing.assert_allclose(table['mean'], alone['mean'], rtol=1e-6, atol=1e-9)


def test_lower_precision_and_gradients_are_taken_as_they_come():
    cam, base = maps((7, 7))
    cam.requires_grad_()
    low = changes(cam.bfloat16(), base.bfloat16(), (56, 56))
    for k, v in changes(cam.bfloat16().float(), base.bfloat16().float(), (56, 56)).items():
        torch.testing.assert_close(low[k], v)
        assert v.dtype == torch.float64 and not v.requires_grad


def test_scikit_image_has_the_same_numbers():
    (cam, base), size = maps((7, 7), relu=False), (112, 112)
    found = changes(cam, base, size) | dict(smaller=overlap_rate(cam, base, size, of='smaller'))
    for n, (a, b) in enumerate(zip(pixels(cam, size), pixels(base, size))):
        high = a >= .5 - 1e-9, b >= .5 - 1e-9
        spread_a, spread_b = (sum(c[k]/c[0, 0] for k in ((0, 2), (2, 0))) for c in map(measure.moments_central, (a, b)))
        theirs = dict(
            pearson=measure.pearson_corr_coeff(a, b)[0], mean_squared_difference=metrics.mean_squared_error(a, b),
            centroid_shift=math.dist(measure.centroid(a), measure.centroid(b)), dispersion=spread_a - spread_b,
            smaller=max(measure.intersection_coeff(*pair) for pair in (high, high[::-1])))
        for k, v in theirs.items(): assert found[k][n].item() == pytest.approx(v, rel=1e-6, abs=1e-9), k


def test_scikit_image_has_the_same_lag():
    cam, size = maps((7, 7))[0], (112, 112)
    base = cam.roll((1, 2), (1, 2)) # alike but for the border, so that no negative peak is higher: theirs would take it
    for a, b, lag in zip(pixels(cam, size), pixels(base, size), cross_correlation(cam, base, size)[1]):
        a, b = (np.pad(v - v.mean(), ((0, 112), (0, 112))) for v in (a, b)) # theirs goes round the edge
        back = registration.phase_cross_correlation(b, a, normalization=None)[0] # to move a onto b
        assert (-back).tolist() == lag.tolist()
