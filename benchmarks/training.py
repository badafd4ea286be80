"""Our training epoch with augmentation against a bare loop on float tensors in memory; bf16 against default fp32.

On a CPU without bf16 units, which would emulate them, only the first, in float32, to a JSON of its own. Names of
networks on the command line: only these.
"""
from functools import partial
import psutil, torch
from torch.nn.functional import cross_entropy
from measure import SMALL, medians, ratio, save_parts, turns, two_epochs
from inspectkit.augment import channel_stats, normalise
from inspectkit.data import load
from inspectkit.models import build
from inspectkit.train import has_bf16

cells = load('elpv', 224)
n = 4 if SMALL else 128
x, y = cells.x[::20][:n], cells.y[::20][:n]
mean, std = channel_stats(x)
floats = normalise(x, mean, std)
OPTIMIZER = dict(cnn5='rmsprop', alexnet='adam', resnet18='sgd') # S1's


def default(model):
    "The same loop as PyTorch has it by default: float32, channels first, the optimiser's default implementation."
    net, images = build(model, 4).train(), floats.contiguous()
    kind = dict(rmsprop=torch.optim.RMSprop, adam=torch.optim.Adam, sgd=torch.optim.SGD)[OPTIMIZER[model]]
    opt = kind(net.parameters(), 1e-5)
    def epoch():
        for xb, yb in zip(images.split(32), y.split(32)):
            loss = cross_entropy(net(xb), yb)
            opt.zero_grad(); loss.backward(); opt.step()
    return epoch


units = has_bf16('cpu')
p = 'bf16' if units else 'fp32'


def epochs(model):
    "One network: each way takes turns five times, for a moment's disturbance is a tenth of an epoch."
    bare, ours = two_epochs(build(model, 4), OPTIMIZER[model], floats, y, x, y, mean, std, 'cpu', p)
    t = turns({f'bare {p}': bare, f'ours {p}': ours} | ({'default fp32': default(model)} if units else {}), 5)
    gain = dict(bf16_against_default=ratio(t, 'default fp32', 'bare bf16')) if units else {}
    return dict(seconds_for_128_images=medians(t), ours_against_bare=ratio(t, f'bare {p}', f'ours {p}')) | gain


save_parts('training' if units else 'training-fp32', {k: partial(epochs, k) for k in OPTIMIZER},
           lambda: dict(load=psutil.getloadavg()[0]))
