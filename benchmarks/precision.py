"Is bf16 as accurate as fp32? The paired difference in held-out accuracy over seeds, from runs/precision."
import pandas as pd, torch
from measure import save
from inspectkit.studies import load_plan
from inspectkit.score import paired

rows = pd.DataFrame([dict(model=r['params']['model'], precision=r['params']['precision'], seed=r['params']['seed'],
                          accuracy=r['metrics']['test']['accuracy'], train=r['env']['seconds']['train'],
                          data=r['env']['data']['hash']) for r in load_plan('precision')])
assert (rows.groupby('seed').data.nunique() == 1).all(), 'the two precisions saw different images'
both, result = ('bf16', 'fp32'), {}
for model, own in rows.groupby('model'):
    wide = own.pivot(index='seed', columns='precision', values=['accuracy', 'train'])
    result[model] = dict(accuracy_bf16_minus_fp32=paired(*(torch.tensor(wide.accuracy[p].values) for p in both)),
                         mean_accuracy={p: wide.accuracy[p].mean() for p in both},
                         seconds={p: wide.train[p].median() for p in both})
save('precision', result)
