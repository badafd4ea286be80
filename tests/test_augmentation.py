"Augmentation and attention: from a folder to a network's maps, what is refused, and what does nothing."
import json, shutil
import numpy as np, pytest, torch
from inspectkit.effects import between, effect, matrix
from inspectkit.runs import run_path
from inspectkit.studies import plan
from inspectkit.synthetic import KINDS

TINY = ('-p', 'study', '_augmentation', '-p', 'model', 'cnn5', '-p', 'weights', 'none', '-p', 'freeze', 0.0,
        '-p', 'image_size', 64, '-p', 'n_images', 0, '-p', 'test_parts', 2, '-p', 'epochs', 1, '-p', 'threads', 1)


def test_the_same_start(papermill, root, marked, tmp_path):
    "A policy that is never applied gives its baseline to the last bit; another stream, and the policy itself, do not."
    def run(*given):
        there = set((root/'runs'/'_augmentation').glob('*.json'))
        out = tmp_path/'out.ipynb'
        r = papermill('nbs/run_augmentation.ipynb', out, '-p', 'data', f'folder:{marked}', *TINY, *given)
        assert r.returncode == 0, r.stderr[-2000:]
        made.extend(set((root/'runs'/'_augmentation').glob('*.json')) - there)
        return json.loads(made[-1].read_text(encoding='utf-8')), dict(np.load(made[-1].with_suffix('.npz')))
    made = []
    try:
        base, kept = run()
        m, n = base['metrics'], base['metrics']['test']['n']
        assert m['classes'] == sorted(['良品', *KINDS]) and n == 24
        assert kept['attr'].shape[0] == len(kept['prob']) == len(kept['mass']) == n
        good = kept['y'] == m['classes'].index('良品')
        assert np.isnan(kept['mass'][good]).all() and ((kept['area'] == 0) == good).all() # a mask for each defect only
        before = len(made)
        again, kept_again = run('-p', 'augment', 'none') # the same parameters: the same file, the same numbers
        assert len(made) == before and again['metrics'] == m
        never, kept_never = run('-p', 'augment', 'rotate', '-p', 'p', 0.0)
        other, kept_other = run('-p', 'augment', 'rotate', '-p', 'p', 0.0, '-p', 'stream', 1)
        turned, kept_turned = run('-p', 'augment', 'rotate')
        for k, v in kept.items():
            np.testing.assert_array_equal(v, kept_again[k])
            np.testing.assert_array_equal(v, kept_never[k])
        assert never['metrics']['history'] == m['history']
        for o, k in (other, kept_other), (turned, kept_turned):
            assert o['metrics']['history'] != m['history'] and (k['prob'] != kept['prob']).any()
            assert (k['index'] == kept['index']).all() # yet the test images are the same
    finally:
        for f in made:
            for g in f, f.with_suffix('.npz'): g.unlink()


def test_planted_on_good_parts(papermill, root, marked, tmp_path):
    "Nobody marked a defect: some are planted on the normal images, and their place is known, to the decision too."
    there, data = root/'runs'/'_planted', f'planted:folder:{marked}'
    own = [*TINY[3:], '-p', 'study', '_planted', '-p', 'data', data]
    try:
        for given in (['-p', 'augment', 'cutout'], *(['-p', 'seed', k] for k in range(4))):
            r = papermill('nbs/run_augmentation.ipynb', tmp_path/'out.ipynb', *own, *given)
            assert r.returncode == 0, r.stderr[-2000:]
        for f in there.glob('*.json'):
            m, kept = json.loads(f.read_text(encoding='utf-8'))['metrics'], np.load(f.with_suffix('.npz'))
            assert m['classes'][0] == 'normal' and ((kept['area'] > 0) == (kept['y'] > 0)).all() and 0 <= m['mass'] <= 1
        r = papermill('nbs/run_decision.ipynb', tmp_path/'out.ipynb', '-p', 'runs_of', '_planted', '-p', 'data', data,
                      '-p', 'model', 'cnn5', '-p', 'redraws', 20, '-p', 'study', '_planted_decision')
        assert r.returncode == 0, r.stderr[-2000:]
        made, = (root/'runs'/'_planted_decision').glob('*.json')
        m = json.loads(made.read_text(encoding='utf-8'))['metrics']
        assert m['networks'] == dict(none=4, cutout=1) and set(m['lights']['cutout']) >= {'1 inside', 'light'}
        inside, = (v for v in m['numbers'] if (v['policy'], v['what']) == ('cutout', 'inside'))
        assert inside['low'] <= inside['high'] and inside['p'] == 1 # one pair, two-sided
        assert m['lights']['cutout']['light'] == 'grey'
    finally:
        for name in '_planted', '_planted_decision': shutil.rmtree(root/'runs'/name, ignore_errors=True)


def test_a_search_with_two_aims(papermill, root, marked, tmp_path):
    "Trials with both numbers, a front that no other beats in both, the best trained again; trials are made once."
    given = ['-p', 'study', '_front', '-p', 'data', f'planted:folder:{marked}', '-p', 'attention', 'inside',
             *TINY[3:], '-p', 'n_trials', 3, '-p', 'confirm', 1]
    try:
        found = []
        for _ in range(2): # killed or not: trials that are there are read
            r = papermill('nbs/run_augment_search.ipynb', tmp_path/'out.ipynb', *given)
            assert r.returncode == 0, r.stderr[-2000:]
            made, = (root/'runs'/'_front').glob('*.json')
            found.append(json.loads(made.read_text(encoding='utf-8'))['metrics'])
            times = {f: f.stat().st_mtime_ns for f in (root/'runs'/'__front_search').glob('*.json')}
            if len(found) == 1: first = times
        m = found[0]
        assert found[1] == m and times == first and len(m['trials']) == 3 and len(m['confirmed']) == 1
        both = [(t['accuracy'], t['attention']) for t in m['trials']]
        for n, (a, b) in enumerate(both):
            beaten = any(c >= a and d >= b and (c, d) != (a, b) for c, d in both)
            assert (n in m['front']) == (not beaten) and 0 <= b <= 1
    finally:
        for name in '_front', '__front_search': shutil.rmtree(root/'runs'/name, ignore_errors=True)


@pytest.mark.parametrize('given, message', [
    (['-p', 'augment', 'turn'], "augment='turn' is not one of none, flip, rotate"),
    (['-p', 'strength', 0.3], "augment='none' has no strength and no p"),
    (['-p', 'augment', 'blur', '-p', 'strength', 1.5], 'strength=1.5 must be above 0 and at most 1'),
    (['-p', 'augment', 'blur', '-p', 'p', -0.1], 'p=-0.1 must be from 0 to 1'),
    (['-p', 'fine_layer', 'layer9'], "layer='layer9' is not in the network")])
def test_refused(refusal, given, message):
    assert message in refusal('nbs/run_augmentation.ipynb', *TINY, *given)


def test_refused_for_these_images(papermill, marked, tmp_path):
    given = '-p', 'data', f'folder:{marked}', *TINY, '-p', 'augment', 'colour'
    r = papermill('nbs/run_augmentation.ipynb', tmp_path/'out.ipynb', *given)
    assert r.returncode and 'changes nothing on grey images' in r.stderr, r.stderr[-500:]


def test_a_decision_from_runs_that_are_there(papermill, root, tmp_path):
    "Lights with the numbers behind them; a light says no more than its numbers do, and no control gets one."
    out = tmp_path/'out.ipynb'
    r = papermill('nbs/run_decision.ipynb', out, '-p', 'runs_of', 'augmentation', '-p', 'data', 'neu',
                  '-p', 'study', '_decision')
    assert r.returncode == 0, r.stderr[-2000:]
    made, = (root/'runs'/'_decision').glob('*.json')
    m = json.loads(made.read_text(encoding='utf-8'))['metrics']
    made.unlink(); made.parent.rmdir()
    assert m['networks']['none'] == 12 and set(m['lights']) == {n for n in m['networks'] if n[:3] not in ('non', 'p 0')}
    rows = {(v['policy'], v['what']): v for v in m['numbers']}
    for n, given in m['lights'].items():
        three = [given[k] for k in given if k != 'light']
        assert (given['light'] == 'grey') == (not {'more', 'less'} & set(three))
        inside = rows[n, 'inside']
        assert (given['1 inside'] == 'more') == (inside['q'] <= .05 and inside['moved'] > 0)
        assert (given['1 inside'] == 'less') == (inside['q'] <= .05 and inside['moved'] < 0)
        assert inside['p'] <= inside['q']
    assert all('q' not in v and not v['told'] for k, v in rows.items() if k[0].startswith('p 0'))


@pytest.mark.parametrize('given, message', [
    (['-p', 'runs_of', 'nosuch'], 'no runs in'),
    (['-p', 'data', 'folder:elsewhere'], "data='folder:elsewhere' is not one of cifar10, neu"),
    (['-p', 'model', 'cnn5'], "model='cnn5' is not one of efficientnet_lite0"),
    (['-p', 'redraws', 3], 'redraws=3 must be from 20 to 10000')])
def test_a_decision_refused(papermill, tmp_path, given, message):
    r = papermill('nbs/run_decision.ipynb', tmp_path/'out.ipynb', *given)
    assert r.returncode and message in r.stderr, r.stderr[-500:]


def test_what_does_nothing_lies_inside_the_floor():
    "The study's own networks: a policy with probability 0 and another order, six at a time, against twelve baselines."
    every, found = [r['params'] for r in plan('augmentation') if 'augment' in r['params']], {}
    for data in 'cifar10', 'neu':
        params = [p for p in every if p['data'] == data and (p['p'] == 0 or p['augment'] == 'none')]
        if not all(run_path(p).exists() for p in params): pytest.skip(f'the runs of {data} are not here')
        kept = {run_path(p): np.load(run_path(p, '.npz')) for p in params}
        base = [p for p in params if p['augment'] == 'none']
        for k in range(2):
            own = [p for p in params if p['p'] == 0 and p['seed']//6 == k] + base
            assert len(own) == 18
            cam, prob = (torch.from_numpy(np.stack([kept[run_path(p)][key] for p in own])).float()
                         for key in ('attr', 'prob'))
            pairs = torch.combinations(torch.arange(len(own)))
            start = torch.tensor([p['seed'] for p in own])
            for name, d in between(cam, prob, pairs, (24, 24)).items():
                found[data, k, name] = effect(matrix(d, pairs, len(own)), 6, start, times=2)['p']
    assert len(found) == 4*10
    for name in {name for *_, name in found}: # of each metric four chances
        p = [v for key, v in found.items() if key[2] == name]
        assert min(p)*len(p) > .05, (name, found)
