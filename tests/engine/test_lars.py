import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from decur.engine import ForeachLARS
from decur.errors import ConfigError


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.Flatten(), nn.Linear(4 * 36, 5), nn.BatchNorm1d(5))


def wrapper(module, lr=0.2, lr_1d=0.0048, optimizer='ForeachLARS', **kwargs):
    return build_optim_wrapper(module, dict(
        type='OptimWrapper', constructor='NdimOptimWrapperConstructor', optimizer=dict(type=optimizer, lr=lr, **kwargs),
        paramwise_cfg=dict(lr_1d=lr_1d) if lr_1d else {}))


class Reference:
    """The rule, parameter by parameter in float64."""

    def __init__(self, params, lr, lr_1d, momentum=0.9, decay=1e-6, eta=0.001, rule='barlow_twins'):
        self.params = [p.detach().double().clone() for p in params]
        self.buffers = [torch.zeros_like(p) for p in self.params]
        self.lr, self.lr_1d, self.momentum, self.decay, self.eta, self.rule = lr, lr_1d, momentum, decay, eta, rule

    def step(self, grads, factor=1.):
        for p, v, g in zip(self.params, self.buffers, grads):
            g = g.double()
            lr = factor * (self.lr if p.ndim > 1 else self.lr_1d)
            update = g.clone()
            if p.ndim > 1:
                update = g + self.decay * p
                w = float(p.pow(2).sum())**0.5
                below = float(update.pow(2).sum())**0.5 if self.rule == 'barlow_twins' else float(g.pow(2).sum())**0.5 + self.decay * w
                if w > 0 and below > 0:
                    update = update * (self.eta * w / below)
            if self.rule == 'barlow_twins':
                v.mul_(self.momentum).add_(update)
                p.sub_(lr * v)
            else:
                v.mul_(self.momentum).add_(lr * update)
                p.sub_(v)


@pytest.mark.parametrize('rule', ['barlow_twins', 'you2017'])
@pytest.mark.parametrize('decay', [1e-6, 0.05])
def test_steps_equal_the_rule_in_float64(rule, decay):
    module = model().double()
    optim = wrapper(module, weight_decay=decay, rule=rule)
    reference = Reference(module.parameters(), 0.2, 0.0048, decay=decay, rule=rule)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optim.optimizer, lambda step: 0.8**step)
    for step in range(6):
        x = torch.randn(8, 3, 8, 8, dtype=torch.float64)
        optim.backward(module(x).pow(3).sum())
        reference.step([p.grad for p in module.parameters()], 0.8**step)
        optim.step()
        optim.zero_grad()
        scheduler.step()
        for p, want in zip(module.parameters(), reference.params):
            torch.testing.assert_close(p.detach(), want, rtol=1e-9, atol=1e-12)


def test_single_precision_in_chunks(monkeypatch):
    monkeypatch.setattr(ForeachLARS, 'chunk_bytes', 100)
    module = model()
    optim = wrapper(module, weight_decay=1e-6)
    reference = Reference(module.parameters(), 0.2, 0.0048)
    for _ in range(4):
        for p in module.parameters():
            p.grad = torch.randn_like(p)
        reference.step([p.grad for p in module.parameters()])
        optim.step()
        for p, want in zip(module.parameters(), reference.params):
            torch.testing.assert_close(p.detach().double(), want, rtol=1e-5, atol=1e-7)


def test_zero_weights_and_zero_gradients_are_not_adapted():
    zero, still = nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.ones(3, 3))
    unused = nn.Parameter(torch.ones(2, 2))
    optim = ForeachLARS([zero, still, unused], lr=0.1)
    zero.grad, still.grad = torch.ones(3, 3), torch.zeros(3, 3)
    optim.step()
    assert torch.allclose(zero, torch.full((3, 3), -0.1))  # factor 1, not 0 / ... or NaN
    assert torch.equal(still, torch.ones(3, 3)) and torch.equal(unused, torch.ones(2, 2)) and unused not in optim.state


def test_gradients_are_left_alone():
    p = nn.Parameter(torch.randn(4, 4))
    p.grad = torch.randn(4, 4)
    before = p.grad.clone()
    ForeachLARS([p], lr=0.1, weight_decay=0.1).step()
    assert torch.equal(p.grad, before)


def test_no_number_is_read_from_the_device():
    # Tensors on the meta device have no numbers: whatever asked for one (.item(), bool()) would fail.
    params = [nn.Parameter(torch.empty(4, 4, device='meta')), nn.Parameter(torch.empty(3, device='meta'))]
    for p in params:
        p.grad = torch.empty_like(p)
    for rule in ('barlow_twins', 'you2017'):
        ForeachLARS(params, lr=0.1, weight_decay=0.1, rule=rule).step()


def test_resumed_steps_are_the_same():
    modules = [model(), model()]
    optims = [wrapper(m, weight_decay=1e-6) for m in modules]

    def step(i, seed):
        torch.manual_seed(seed)
        optims[i].update_params(modules[i](torch.randn(8, 3, 8, 8)).pow(3).sum())

    for seed in range(4):
        step(0, seed)
    for seed in range(2):
        step(1, seed)
    state, weights = optims[1].state_dict(), modules[1].state_dict()
    modules[1] = model(seed=9)
    modules[1].load_state_dict(weights)
    optims[1] = wrapper(modules[1], weight_decay=1e-6)
    optims[1].load_state_dict(state)
    for seed in range(2, 4):
        step(1, seed)
    assert all(torch.equal(a, b) for a, b in zip(modules[0].parameters(), modules[1].parameters()))


def test_groups_by_ndim():
    module = model()
    module[0].bias.requires_grad_(False)
    weights, small = wrapper(module, weight_decay=1e-6).optimizer.param_groups
    assert [p.shape for p in weights['params']] == [module[0].weight.shape, module[3].weight.shape]
    # Batch norm inside nn.Sequential and biases.
    assert {id(p) for p in small['params']} == {id(p) for p in (module[3].bias, *module[1].parameters(), *module[4].parameters())}
    assert (weights['lr'], weights['weight_decay'], weights['adapt']) == (0.2, 1e-6, True)
    assert (small['lr'], small['weight_decay'], small['adapt']) == (0.0048, 0., False)


def test_adamw_loses_only_the_decay_of_small_parameters():
    weights, small = wrapper(model(), lr=1e-4, lr_1d=None, optimizer='AdamW', weight_decay=0.01).optimizer.param_groups
    assert (weights['lr'], weights['weight_decay']) == (1e-4, 0.01)
    assert (small['lr'], small['weight_decay']) == (1e-4, 0.) and 'adapt' not in small


def test_schedulers_scale_both_groups():
    from mmengine.registry import PARAM_SCHEDULERS
    optim = wrapper(model(), weight_decay=1e-6)
    scheduler = PARAM_SCHEDULERS.build(dict(type='CosineAnnealingLR', optimizer=optim, T_max=10, by_epoch=False))
    ratios = []
    for _ in range(8):
        weights, small = optim.optimizer.param_groups
        ratios.append(small['lr'] / weights['lr'])
        optim.step()
        scheduler.step()
    assert optim.optimizer.param_groups[0]['lr'] < 0.05 and ratios == pytest.approx([0.0048 / 0.2] * 8)


def test_bad_settings():
    with pytest.raises(ConfigError, match='momentum'):
        ForeachLARS([nn.Parameter(torch.ones(2, 2))], lr=0.1, momentum=-1)
    with pytest.raises(ConfigError, match='rule'):
        ForeachLARS([nn.Parameter(torch.ones(2, 2))], lr=0.1, rule='lamb')
    with pytest.raises(ConfigError, match='norm_decay_mult'):
        build_optim_wrapper(model(), dict(constructor='NdimOptimWrapperConstructor', optimizer=dict(type='SGD', lr=0.1),
                                          paramwise_cfg=dict(norm_decay_mult=0.)))
    frozen = model().requires_grad_(False)
    with pytest.raises(ConfigError, match='frozen'):
        wrapper(frozen)
