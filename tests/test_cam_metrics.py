"Maps and their numbers against other packages, where those are installed: pip install torchcam quantus grad-cam."
from copy import deepcopy
from functools import partial
import pytest, torch
from inspectkit.cam import explain, find_layer, flaw, on_image
from inspectkit.cam_metrics import area, average_drop, average_increase, curve, mass, pointing
from inspectkit.models import build, eval_mode


@pytest.fixture(scope='module')
def case():
    "An untrained network in evaluation mode, images, the class to explain, a map of each."
    gen = torch.Generator().manual_seed(0)
    net, x = build('resnet18', 4).eval(), torch.randn(6, 3, 96, 96, generator=gen)
    target = net(x).argmax(1).detach()
    return net, x, target, explain('grad_cam', net, x, target)[0]


def test_torchcam_makes_the_same_maps(case):
    methods = pytest.importorskip('torchcam.methods')
    net, x, target, _ = case
    theirs = dict(grad_cam=methods.GradCAM, layer_cam=methods.LayerCAM) # its Grad-CAM++ leaves alpha undivided (0.5.0)
    for name, kind in theirs.items():
        with kind(net, find_layer(net)) as extractor:
            raw = extractor(target.tolist(), net(x.clone().requires_grad_()), normalized=False)[0].relu().detach()
        attr = explain(name, net, x, target)[1]
        shown = torch.tensor([not flaw(a) for a in attr])
        assert shown.sum() >= 4
        a, b = (m[shown]/m[shown].amax((1, 2), keepdim=True) for m in (attr, raw)) # theirs may differ by a factor
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_torchcam_has_the_same_drop_deletion_and_insertion(case):
    metrics, methods = pytest.importorskip('torchcam.metrics'), pytest.importorskip('torchcam.methods')
    net, x, target, _ = case
    softmax, layer = partial(torch.softmax, dim=-1), find_layer(net)
    with methods.GradCAM(net, layer) as extractor:
        classification, deletion = (kind(extractor, softmax, **kw) for kind, kw in (
            (metrics.ClassificationMetric, {}), (metrics.DeletionInsertionMetric, dict(steps=16))))
        for m in classification, deletion: m.update(x, target.tolist())
        with torch.enable_grad(): raw = extractor(target.tolist(), softmax(net(x)))[0].detach() # in [0, 1]
    cam = torch.nn.functional.interpolate(raw[:, None], x.shape[-2:], mode='bilinear', align_corners=False)[:, 0]
    with torch.no_grad():
        score, masked = (net(v).softmax(1).gather(1, target[:, None])[:, 0] for v in (x, x*cam[:, None]))
    theirs = classification.summary()
    assert abs(average_drop(score, masked)/100 - theirs['avg_drop']) < 1e-4
    assert abs(average_increase(score, masked)/100 - theirs['conf_increase']) < 1e-6
    theirs = deletion.summary()
    for key, insert in (('deletion_auc', False), ('insertion_auc', True)):
        assert abs(area(curve(net, x, target, cam, insert, 16)).mean() - theirs[key]) < 1e-4, key


def test_grad_cam_package_makes_the_same_maps(case):
    package = pytest.importorskip('pytorch_grad_cam')
    targets = pytest.importorskip('pytorch_grad_cam.utils.model_targets')
    net, x, target, _ = case
    net = deepcopy(net)
    net.head[-1].weight.data *= 1000 # so that the 1e-6 in their Grad-CAM++ is nothing beside a gradient
    kinds = dict(grad_cam=package.GradCAM, hires_cam=package.HiResCAM, grad_cam_pp=package.GradCAMPlusPlus)
    for name, kind in kinds.items():
        with kind(net, [find_layer(net)]) as extractor:
            theirs = torch.tensor(extractor(x, [targets.ClassifierOutputTarget(int(t)) for t in target]))
        attr = explain(name, net, x, target)[1]
        low, high = attr.amin((1, 2), True), attr.amax((1, 2), True) # theirs is stretched from its smallest value
        ours = on_image((attr - low)/(high - low + 1e-7), x.shape[-2:])
        theirs = theirs/theirs.amax((1, 2), keepdim=True)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=.02) # OpenCV's enlargement rounds otherwise


def test_quantus_has_the_same_pointing_and_mass(case):
    quantus = pytest.importorskip('quantus')
    net, x, target, cam = case
    mask = torch.zeros(6, 96, 96, dtype=torch.bool)
    mask[:, 20:70, 30:80] = True
    given = dict(model=net, x_batch=x.numpy(), y_batch=target.numpy(), a_batch=cam[:, None].numpy(),
                 s_batch=mask[:, None].numpy(), channel_first=True)
    quiet = dict(disable_warnings=True, display_progressbar=False, abs=False, normalise=False)
    for kind, ours in ((quantus.PointingGame, pointing), (quantus.AttributionLocalisation, mass)):
        torch.testing.assert_close(torch.tensor(kind(**quiet)(**given)).float(), ours(cam, mask), rtol=1e-4, atol=1e-5)


def test_the_network_is_left_as_it_was(case):
    net, x, target, _ = case
    with eval_mode(net): before = {k: v.clone() for k, v in net.state_dict().items()}
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()]
    explain('score_cam', net, x[:1], target[:1])
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
