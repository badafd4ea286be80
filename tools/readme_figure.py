"Draw images/first_run.png, the README's figure, from the first AlexNet run of the corrosion study."
import matplotlib; matplotlib.use('Agg')
import matplotlib.pyplot as plt
import seaborn as sns
import torch
from inspectkit.runs import load_plan, repo_root

run = next(r for r in load_plan('corrosion') if r['params']['model'] == 'alexnet')
test, history = run['metrics']['test'], run['metrics']['history']
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout='constrained', width_ratios=[1.3, 1])
for part in ('train', 'val'): left.plot(range(1, len(history) + 1), [e[f'{part}_accuracy'] for e in history], marker='.', label=part)
left.axhline(test['majority'], color='grey', ls='--', label='chance')
left.set(xlabel='epoch', ylabel='share correct', ylim=(0, .7), title=f"AlexNet from nothing, {sum(run['env']['data']['train'])} training images")
left.legend(loc='upper left', ncols=3)
counts = torch.tensor(test['confusion'])
sns.heatmap(counts/counts.sum(1, keepdim=True), vmin=0, vmax=1, cmap='Blues', annot=counts, fmt='d', ax=right, cbar_kws=dict(label='share of the true grade'))
right.set(xlabel='predicted grade', ylabel='true grade', title=f"{test['correct']} of {test['n']} test images right")
(repo_root()/'images').mkdir(exist_ok=True)
plt.savefig(repo_root()/'images'/'first_run.png', dpi=110, metadata=dict(Software=None))
