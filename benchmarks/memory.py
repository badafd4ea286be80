"""What a step keeps of each image until its gradient is there: the memory of S4's own sizes, counted without a GPU.

Counted are the bytes of all that autograd saves, from two passes of a few images, and what weights, gradients and the
optimiser take. A GPU takes more, for the convolutions' own work and what lies between its blocks: how much more, is the
ratio of what `sizes.py` measured to the count, of the largest ratio among networks at 224 pixels. A batch that is in no
measurement is expected to take its count times that. `nbs/papers/efficientnet.ipynb` reads the result.
"""
import json
from pathlib import Path
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from measure import SMALL, save
from inspectkit.models import build, upsampled
from inspectkit.train import autocast

MEASURED = json.loads(Path(__file__).with_name('sizes.json').read_text(encoding='utf-8'))['result']
STATE = dict(adam=2, sgd=1) # numbers that the optimiser keeps for each weight


def kept(net, side, n, precision):
    "Bytes that autograd saves of n images, weights not counted."
    own, saved = {p.untyped_storage().data_ptr() for p in net.parameters()}, {}
    def pack(t):
        s = t.untyped_storage() # held, or its place would be given to another
        if s.data_ptr() not in own: saved[s.data_ptr()] = s
        return t
    x = torch.rand(n, 3, side, side).contiguous(memory_format=torch.channels_last)
    with saved_tensors_hooks(pack, lambda t: t), autocast('cpu', precision):
        cross_entropy(net(x).float(), torch.zeros(n, dtype=torch.long))
    return sum(s.nbytes() for s in saved.values())


def counted(run):
    "GB of an image and GB that do not depend on the batch, in each precision."
    net = build(run['model'], 100, 'none', [], [], 0).train().to(memory_format=torch.channels_last)
    if run['upsample']: upsampled(net, 64 if SMALL else run['upsample'])
    image = {p: (kept(net, run['image_size'], 3, p) - kept(net, run['image_size'], 2, p))/1e9 for p in ('fp32', 'bf16')}
    return dict(image_GB=image, fixed_GB=4*(2 + STATE[run['optimizer']])*sum(w.numel() for w in net.parameters())/1e9)


found = {k: counted(run) for k, run in MEASURED['runs'].items()}
def batch_GB(c, n, precision): return c['image_GB'][precision]*n + c['fixed_GB']
for k, run in MEASURED['runs'].items():
    own = found[k]['counted_GB'] = {p: batch_GB(found[k], run['batch_size'], p) for p in ('fp32', 'bf16')}
    if 'card_GB' in run: found[k]['measured_to_counted'] = run['card_GB']/own[run['precision']]
most = max(c['measured_to_counted'] for k, c in found.items() if ' 224 ' in k)
def expected(c, n): return {p: most*batch_GB(c, n, p) for p in ('fp32', 'bf16')}
for k, run in MEASURED['runs'].items():
    found[k]['expected_GB'] = expected(found[k], run['batch_size'])
    fits = max(n for n in (2**i for i in range(1, 12)) if expected(found[k], n)['fp32'] < MEASURED['GB'])
    found[k]['fits'] = dict(batch_size=fits, expected_GB=expected(found[k], fits)) # a power of two, in float32
save('memory', dict(measured_to_counted=most, card=MEASURED['device'], GB=MEASURED['GB'], runs=found))
