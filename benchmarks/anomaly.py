"""Anomaly scores: one small image at a time against anomalib's PaDiM and PatchCore, T² against a scipy loop, and what
training the paper's best setting takes.

The peers at their defaults: their network, their size of 256 pixels, their transform; fitted to 64 images, which is
little, so that PatchCore's memory is small and its search fast (it keeps 1 % of
their vectors, not its 10 %). Their networks have random weights, for a speed does not
depend on them. Ways take turns and a ratio is the median of the ratios of turns; one thread, seconds of the processor.
Names of parts on the command line: only these.
"""
import time
import numpy as np, psutil, torch
from measure import SMALL, clock_of, medians, peer, ratio, save_parts, turns
from inspectkit.anomaly import gaussian, hotelling
from inspectkit.autoencoder import build_parts, codes, fit_autoencoder
from inspectkit.synthetic import surface

torch.set_num_threads(1)
gen = torch.Generator().manual_seed(0)


def t2_against_scipy(n=500 if SMALL else 20_000, d=64):
    "The loop one writes first: scipy's mahalanobis for each code."
    from scipy.spatial.distance import mahalanobis
    z = torch.randn(n, d, generator=gen)
    fitted = gaussian(z)
    v = z.double().numpy()
    middle, inverse = v.mean(0), np.linalg.inv(np.cov(v.T))
    def loop(): return np.array([mahalanobis(r, middle, inverse)**2 for r in v])
    def with_fit(): return hotelling(z, *gaussian(z))
    torch.testing.assert_close(hotelling(z, *fitted), torch.from_numpy(loop()), rtol=1e-8, atol=0)
    ways = {'scipy loop': loop, 'inspectkit': lambda: hotelling(z, *fitted), 'inspectkit, with the fit': with_fit}
    t = turns(ways, 5, clock_of('cpu'))
    return dict(codes=n, d=d, seconds=medians(t),
                ratio={k: ratio(t, 'scipy loop', k) for k in t if k != 'scipy loop'})


def peers(x):
    "anomalib's two, fitted by hand to images: what its engine does without a folder."
    from anomalib.models.image.padim.torch_model import PadimModel
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    from anomalib.models import Padim, Patchcore
    made = {}
    for name, model, lightning in (('PaDiM', PadimModel(backbone='resnet18', layers=['layer1', 'layer2', 'layer3'],
                                                        pre_trained=False), Padim),
                                   ('PatchCore', PatchcoreModel(backbone='wide_resnet50_2', layers=['layer2', 'layer3'],
                                                                pre_trained=False), Patchcore)):
        transform = lightning.configure_pre_processor().transform
        model.train()
        if name == 'PaDiM':
            model(transform(x.expand(-1, 3, -1, -1)))
            model.fit()
        else:
            model(transform(x.expand(-1, 3, -1, -1)))
            model.subsample_embedding(sampling_ratio=.01)
        model.eval()
        made[name] = model, transform
    return made


def one_at_a_time(n=12):
    "Score 32 x 32 images as they come from a camera, one by one: from bytes to a number."
    peer('anomalib', 'anomalib')
    x = (255*surface(96, 32, gen)).round().byte()
    parts = build_parts('aae', 1, 32).eval()
    fitted = gaussian(codes(parts, x)[0])
    new = x[-n:]
    ways = {'inspectkit, AAE and T²': lambda: [float(hotelling(codes(parts, i[None])[0], *fitted)) for i in new]}
    for name, (model, transform) in peers(x[:64].float()/255).items():
        def score(model=model, transform=transform):
            with torch.no_grad():
                return [float(model(transform((i.float()/255).expand(3, -1, -1))[None]).pred_score) for i in new]
        ways[f'anomalib, {name}'] = score
    t = turns(ways, 5, clock_of('cpu'))
    ours = next(iter(ways))
    return dict(ms_an_image={k: 1000*v/n for k, v in medians(t).items()},
                ratio={k: ratio(t, k, ours) for k in ways if k != ours})


def training(n=20 if SMALL else 500, epochs=2 if SMALL else 40, threads=1 if SMALL else 2):
    "S3's best setting as studies/aae.yaml has it; seconds of the clock, on a quiet machine."
    torch.set_num_threads(threads)
    x = (255*surface(n, 32, gen)).round().byte()
    parts = build_parts('aae', 1, 32, width=16)
    start = time.perf_counter()
    fit_autoencoder('aae', parts, x, torch.zeros(n, dtype=torch.long), epochs, batch_size=16)
    took = time.perf_counter() - start
    torch.set_num_threads(1)
    return dict(images=n, epochs=epochs, threads=threads, seconds=took)


save_parts('anomaly', dict(t2_against_scipy=t2_against_scipy, one_at_a_time=one_at_a_time, training=training),
           lambda: dict(load=psutil.getloadavg()[0]))
