"""Targets from a moving average of the encoders and projectors."""
from copy import deepcopy

import pytest
import torch
from helpers import entries
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from objective_reference import make_embeddings, standardize

from decur.errors import ConfigError
from decur.models import MultimodalBackbone, MultimodalPretraining
from decur.models.teacher import loss_with_teacher
from decur.weights.streams import load_streams

EMA = dict(type='ExponentialMovingAverage', momentum=0.25)


def head(**kwargs):
    return MODELS.build(dict(dict(type='DeCURHead', common_dim=7, statistics=False), **kwargs))


def model(**kwargs):
    torch.manual_seed(0)
    return MultimodalPretraining(**dict(dict(
        backbone=dict(type='MultimodalBackbone', modalities=entries()),
        neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=24),
        head=dict(type='DeCURHead', common_dim=18)), **kwargs)).double()


def views(n=6):
    g = torch.Generator().manual_seed(1)
    return {m: [torch.randn(n, e['channels'], 32, 32, generator=g, dtype=torch.float64) for _ in range(2)] for m, e in entries().items()}


def gradient(tensors):
    return torch.cat([(torch.zeros_like(t) if t.grad is None else t.grad).flatten() for t in tensors])


@pytest.mark.parametrize('cfg', [
    dict(), dict(extra=[dict(type='CrossBlockTerm')]), dict(type='MultimodalSimCLRHead', common_dim=None),
    dict(type='MultimodalVICRegHead', common_dim=None)], ids=['DeCUR', 'extra', 'SimCLR', 'VICReg'])
@pytest.mark.parametrize('masked', [False, True])
def test_with_a_teacher_that_equals_the_student_the_gradient_is_the_plain_one(cfg, masked):
    cfg = {key: value for key, value in cfg.items() if value is not None} if 'type' not in cfg else dict(type=cfg['type'], statistics=False)
    objective = MODELS.build(cfg) if 'type' in cfg else head(**cfg)
    present = dict(a=torch.arange(9) > 1, b=torch.arange(9) < 8, c=torch.arange(9) != 4) if masked else None
    plain, student = ({m: tuple(z.clone().requires_grad_() for z in pair[:objective.num_views]) for m, pair in
                       make_embeddings('abc', 9, 16, dtype=torch.float64).items()} for _ in range(2))
    want = objective.loss(plain, present)
    got = loss_with_teacher(objective, student, {m: tuple(z.detach() for z in pair) for m, pair in student.items()}, present)
    # Diagonals are logged in single precision.
    assert {name: float(value.detach()) for name, value in got.items()} == pytest.approx(
        {name: float(value.detach()) for name, value in want.items()}, rel=1e-6)
    for out in (want, got):
        out['loss'].backward()
    a, b = (gradient([z for pair in e.values() for z in pair]) for e in (student, plain))
    assert float((a - b).norm() / b.norm()) < 1e-9


def test_each_term_relates_the_student_and_the_teacher_both_ways():
    student, teacher = (make_embeddings('ab', 9, 16, dtype=torch.float64, seed=seed) for seed in (0, 1))
    student = {m: tuple(z.requires_grad_() for z in pair) for m, pair in student.items()}
    out = loss_with_teacher(head(), student, teacher)
    s, t = ({m: [standardize(z) for z in pair] for m, pair in e.items()} for e in (student, teacher))

    def term(a, b, columns, target):
        c = a[:, columns].T @ b[:, columns] / 9
        return (c.diagonal() - target).square().sum() + .0051 * (c.square().sum() - c.diagonal().square().sum())

    every, common, unique = slice(None), slice(7), slice(7, None)
    want = sum(term(s[m][0], t[m][1], every, 1) + term(t[m][0], s[m][1], every, 1) for m in 'ab')
    want = want + sum(term(s['a'][0], t['b'][0], part, target) + term(t['a'][0], s['b'][0], part, target)
                      for part, target in ((common, 1), (unique, 0)))
    leaves = [z for pair in student.values() for z in pair]
    got, wanted = (torch.autograd.grad(value, leaves, retain_graph=True) for value in (out['loss'], want))
    for a, b in zip(got, wanted):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


def test_the_teacher_follows_the_student_and_takes_no_gradient():
    net = model(teacher=EMA)
    start = deepcopy(net.neck.projectors['sar'].fc0.weight)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=.1)
    followed, seen = net.teacher.module.neck.projectors['sar'].fc0.weight, []
    for _ in range(3):
        seen.append(net.neck.projectors['sar'].fc0.weight.detach().clone())
        net.loss(views())['loss'].backward()
        optimizer.step()
    assert torch.equal(seen[0], start) and not torch.equal(seen[1], start)
    want = start
    for weight in seen[1:]:
        want = .75 * want + .25 * weight
    torch.testing.assert_close(followed.detach(), want)
    assert followed.grad is None and not followed.requires_grad


def test_the_first_step_is_that_of_the_plain_model_and_absent_rows_do_not_count():
    samples = [DataSample() for _ in range(6)]
    samples[2].set_field(dict(sar=True, optical=False), 'present', field_type='metainfo')
    found = []
    for teacher, junk in ((None, 0.), (EMA, 0.), (EMA, 9.)):
        net, batch = model(teacher=teacher), views()
        for x in batch['optical']:
            x[2] = junk
        out = net.loss(batch, samples)
        out['loss'].backward()
        found.append((float(out['loss'].detach()), gradient([*net.backbone.parameters(), *net.neck.parameters()])))
    for value, grad in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-9)
        assert float((grad - found[0][1]).norm() / grad.norm()) < 1e-8


def test_the_encoders_of_a_checkpoint_with_a_teacher_are_those_of_the_student(tmp_path):
    net = model(teacher=EMA)
    with torch.no_grad():
        for p in net.teacher.parameters():
            p.zero_()
    torch.save(dict(state_dict=net.state_dict()), tmp_path / 'a.pth')
    backbone = MultimodalBackbone(entries()).double()
    load_streams(backbone, str(tmp_path / 'a.pth'))
    assert all(torch.equal(value, net.backbone.state_dict()[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize('wrong, message', [
    (dict(teacher=EMA, micro_batch=4), 'micro_batch and teacher'), (dict(teacher=EMA, neck=None), 'needs a neck'),
    (dict(teacher=dict(type='MultimodalBackbone', modalities=entries())), 'averaged model')])
def test_what_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        model(**wrong)
