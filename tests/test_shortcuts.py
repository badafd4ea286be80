"The shortcut audit on a set that is known to be confounded, and on sets whose labels say nothing."
import os
from dataclasses import replace
from pathlib import Path
import pandas as pd, pytest, torch
from inspectkit.data import Images, load
from inspectkit.shortcuts import audit_shortcuts, remedied, remedy, verdict

SOLDER = Path(os.environ.get('INSPECTKIT_DATA') or '~/.cache/inspectkit').expanduser()/'solder_joint'


@pytest.mark.skipif(not SOLDER.is_dir(), reason=f'the solder joints of Ulger et al. (2023) are not at {SOLDER}')
def test_solder_joints_shout_and_are_quieted():
    images = load(f'folder:{SOLDER}', 16) # small from their own pixels
    anomalous = images.y != images.classes.index('normal')
    table = audit_shortcuts(images, anomalous)
    auroc = table.set_index('feature').auroc
    assert table.feature[0] == 'width' and abs(auroc['width'] - .963) < .001
    assert abs(auroc['colour'] - .940) < .01 and abs(auroc['thumbnail'] - .842) < .02 # as measured by others before
    assert verdict(table, 'normal from the rest').startswith('Width alone tells normal from the rest with AUROC 0.963')
    after = audit_shortcuts(replace(images, x=remedy(images.x, 32), box=None), anomalous).set_index('feature')
    assert after.auroc['sharpness'] < .55 and (after.auroc[['brightness', 'contrast', 'colour']] == .5).all()
    assert after.auroc['thumbnail'] > .8 # the boards: no remedy takes them away

    as_run = audit_shortcuts(replace(images, x=remedied(images.x, 32), box=None), anomalous).set_index('feature')
    traces = as_run.loc[['brightness', 'contrast', 'colour']]
    assert (traces.auroc < .6).all() and traces.loud.all() # bytes end at 3 standard deviations: a trace is left
    assert as_run.auroc['sharpness'] < .55 and as_run.auroc['thumbnail'] > .8

    large = load(f'folder:{SOLDER}', 64) # made large first, the small ones are soft, and stay it
    after = audit_shortcuts(replace(large, x=remedy(large.x, 32), box=None), anomalous).set_index('feature')
    assert after.auroc['sharpness'] > .6


def noise(seed, n=60, of=2):
    "Images in groups, their labels a coin toss a group."
    gen = torch.Generator().manual_seed(seed)
    group = torch.arange(n)//of
    light = torch.rand(n//of, 1, 1, 1, generator=gen)[group] # a group looks alike
    x = (255*(light*.5 + .5*torch.rand(n, 1, 16, 16, generator=gen))).byte()
    y = (torch.arange(n//of) % 2)[torch.randperm(n//of, generator=gen)][group]
    return Images('noise', ['a', 'b'], [str(i) for i in range(n)], x, y, group, pd.DataFrame())


def test_says_nothing_where_there_is_nothing():
    "One set in twenty may speak up; of 40 more than seven would be one in a thousand."
    assert sum(audit_shortcuts(noise(seed)).loud.any() for seed in range(40)) <= 7
