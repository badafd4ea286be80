"""Dealing images to the parts of a split: ours, all parts at once, against scikit-learn's, the same parts.

20,000 images of ten classes, a quarter of them in groups of two, five parts. Ways take turns, and the ratio is the
median of the ratios of turns. One thread, and seconds of the processor rather than of the clock.
"""
import sklearn, torch
from measure import SMALL, clock_of, medians, ratio, save, turns
from sklearn.model_selection import StratifiedGroupKFold
from inspectkit.data import kfold

N, FOLDS = 600 if SMALL else 20_000, 5
torch.set_num_threads(1)
y = torch.randint(10, (N,), generator=torch.Generator().manual_seed(0))
group = torch.arange(N)
group[1:N//4:2] = group[:N//4:2] # two photographs of one part


def ours(): return kfold(y, group, FOLDS, 0)
def theirs():
    parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(y.numpy(), y.numpy(), group.numpy())
    return [torch.from_numpy(held) for _, held in parts]


t = turns({'scikit-learn': theirs, 'inspectkit': ours}, 5, clock_of('cpu'))
save('split', dict(images=N, parts=FOLDS, seconds=medians(t), ratio=ratio(t, 'scikit-learn', 'inspectkit'),
                   the_same_parts=all(map(torch.equal, ours(), theirs())), scikit_learn=sklearn.__version__))
