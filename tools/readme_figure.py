"Draw images/first_run.png, the README's figure, from the three AlexNet runs of the corrosion study."
import matplotlib; matplotlib.use('Agg')
import matplotlib.pyplot as plt
import seaborn as sns
import torch
from inspectkit.runs import repo_root
from inspectkit.studies import load_plan

runs = [r['metrics'] for r in load_plan('corrosion') if r['params']['model'] == 'alexnet']
tests = [m['test'] for m in runs]
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout='constrained', width_ratios=[1.3, 1])
for part, colour in (('train', 'C0'), ('val', 'C1')):
    for i, m in enumerate(runs):
        loss = [e[f'{part}_loss'] for e in m['history']]
        line, = left.plot(range(1, len(loss) + 1), loss, color=colour, lw=1)
    line.set_label(part)
left.axhline(torch.tensor(4.).log(), color='grey', ls='--', label='guessing')
left.set(xlabel='epoch', ylabel='cross-entropy (nats)', title='AlexNet from nothing, three seeds')
left.legend(ncols=3)
counts = sum(torch.tensor(t['confusion']) for t in tests)
share = counts/counts.sum(1, keepdim=True)
sns.heatmap(share, vmin=0, vmax=1, cmap='Blues', annot=counts, fmt='d', ax=right,
            cbar_kws=dict(label='share of the true grade'))
right.set(xlabel='predicted grade', ylabel='true grade')
right.set_title(f"{counts.trace()} of {counts.sum()} test images right, by chance {counts.sum(1).max()}")
(repo_root()/'images').mkdir(exist_ok=True)
plt.savefig(repo_root()/'images'/'first_run.png', dpi=110, metadata=dict(Software=None))
