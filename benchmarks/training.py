"Our training epoch with augmentation against a bare loop on float tensors in memory; bf16 against default fp32."
import torch
from torch.nn.functional import cross_entropy
from measure import alternate, save
from inspectkit.augment import channel_stats, normalise
from inspectkit.data import load
from inspectkit.models import build
from inspectkit.train import make_optimizer, train_epoch

cells = load('elpv', 224)
x, y = cells.x[::20][:128], cells.y[::20][:128]
mean, std = channel_stats(x)
floats = normalise(x, mean, std)
OPTIMIZER = dict(cnn5='rmsprop', alexnet='adam', resnet18='sgd') # S1's


def bare(model, precision):
    "The shortest loop: the batches are there, nothing is augmented or counted."
    net = build(model, 4).to(memory_format=torch.channels_last).train()
    opt = make_optimizer(OPTIMIZER[model], net.parameters(), 1e-5)
    def epoch():
        for xb, yb in zip(floats.split(32), y.split(32)):
            with torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16'): loss = cross_entropy(net(xb), yb)
            opt.zero_grad(); loss.backward(); opt.step()
    return epoch


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


def ours(model, precision):
    net = build(model, 4).to(memory_format=torch.channels_last)
    opt, gen = make_optimizer(OPTIMIZER[model], net.parameters(), 1e-5), torch.Generator().manual_seed(0)
    return lambda: train_epoch(net, opt, x, y, mean, std, 32, gen, precision, augment={})


result = {}
for model in ('cnn5', 'alexnet', 'resnet18'):
    ways = {'bare bf16': bare(model, 'bf16'), 'ours bf16': ours(model, 'bf16'), 'default fp32': default(model)}
    t = alternate(ways, 3)
    result[model] = dict(seconds_for_128_images=t, ours_against_bare=t['bare bf16']/t['ours bf16'],
                         bf16_against_default=t['default fp32']/t['bare bf16'])
    print(model, result[model], flush=True)
save('training', result)
