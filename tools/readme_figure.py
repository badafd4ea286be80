"Draw images/first.png, the README's figure, from the runs of the corrosion study."
import matplotlib; matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from reports import FIGURE, drawn_from
from inspectkit.plots import draw_counts, readable
from inspectkit.runs import repo_root
from inspectkit.studies import load_plan

SHOWN = {('alexnet', 'none'): 'AlexNet', ('cnn5', 'none'): 'CNN5', ('resnet18', 'none'): 'ResNet18',
         ('efficientnet_lite0', 'none'): 'Lite0', ('efficientnet_lite0', 'imagenet'): 'Lite0,\nImageNet'}
runs = [r for r in load_plan('corrosion') if r['params']['data'] == 'elpv' and 'history' in r['metrics']]
def shown(p): # S1's settings for its networks, ours for the others
    return p['trim'] == 'none' and p['n_images'] == 600 and not (p['model'] in ('alexnet', 'cnn5') and p['cooldown'])
runs = [r for r in runs if shown(r['params'])]
readable()
np.random.seed(0) # of the dots' places beside each other
names = [SHOWN[r['params']['model'], r['params']['weights']] for r in runs]
_, (left, right) = plt.subplots(1, 2, figsize=(6.8, 3), layout='constrained', width_ratios=[1.6, 1])
sns.stripplot(x=names, y=[r['metrics']['test']['accuracy'] for r in runs], order=SHOWN.values(), ax=left, jitter=.15)
majority = sum(r['metrics']['test']['majority'] for r in runs)/len(runs)
left.axhline(majority, color='grey', ls='--', label='the commonest grade for all')
left.set(ylabel='accuracy on 120 test images', ylim=(0, 1))
left.legend(loc='upper left')
best = [r['metrics']['test'] for r, n in zip(runs, names) if 'ImageNet' in n]
counts = sum(torch.tensor(t['confusion']) for t in best)
draw_counts(right, counts, list('0123'))
plt.colorbar(right.collections[0], label='share of the true grade')
right.set(xlabel='predicted grade', ylabel='true grade', title=f'Lite0 from ImageNet, {len(best)} trainings')
plt.savefig(repo_root()/FIGURE, dpi=110, metadata=dict(Software=None, Source=drawn_from(repo_root())))
