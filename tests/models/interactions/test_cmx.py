"""Rectification and fusion against the paper's formulas written out in float64."""
import math

import pytest
import torch
from torch.nn import functional as F

from decur.errors import ConfigError
from decur.models.interactions import CMXFusion, CMXRectification

C = 10


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(2, C, 5, 7, dtype=torch.double), torch.randn(2, C, 5, 7, dtype=torch.double)


def randomise(module):
    torch.manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=.3)
    for name, buffer in module.named_buffers():
        if 'running_mean' in name:
            buffer.normal_()
        if 'running_var' in name:
            buffer.uniform_(.5, 2)
    return module.double()


def test_rectification_is_the_formula(pair):
    rgb, x = pair
    frm = randomise(CMXRectification(dict(rgb=C, hha=C), lambda_c=.5, lambda_s=.25))
    out = frm(dict(rgb=rgb, hha=x))
    both = torch.cat([rgb, x], 1)
    pooled = torch.cat([F.adaptive_avg_pool2d(both, 1), F.adaptive_max_pool2d(both, 1)], 1).flatten(1)
    first, _, second, _ = frm.channel
    cw = torch.sigmoid(second(torch.relu(first(pooled)))).reshape(2, 2, C, 1, 1)
    first, _, second, _ = frm.spatial
    sw = torch.sigmoid(second(torch.relu(first(both)))).reshape(2, 2, 1, 5, 7)
    assert torch.allclose(out['rgb'], rgb + .5 * cw[:, 1] * x + .25 * sw[:, 1] * x, atol=1e-12)
    assert torch.allclose(out['hha'], x + .5 * cw[:, 0] * rgb + .25 * sw[:, 0] * rgb, atol=1e-12)
    assert list(out) == ['rgb', 'hha']


def plain_fusion(ffm, maps, heads):
    """Section III-C: tokens, linear cross-attention, concatenation, convolutional merge."""
    d = C // heads
    residual, exchange, context, tokens = [], [], [], []
    for i, x in enumerate(maps):
        n, _, h, w = x.shape
        t = x.permute(0, 2, 3, 1).reshape(n, h * w, C)
        y, u = torch.relu(F.linear(t, ffm.proj[i].weight, ffm.proj[i].bias)).chunk(2, -1)
        k, v = F.linear(u, ffm.kv[i].weight).chunk(2, -1)
        k, v, u = (z.reshape(n, h * w, heads, d).transpose(1, 2) for z in (k, v, u))
        score = torch.einsum('nhld,nhle->nhde', k, v) / math.sqrt(d)
        context.append(torch.softmax(score, dim=2))
        residual.append(y)
        exchange.append(u)
        tokens.append(t)
    out = []
    for i in range(2):
        v = torch.einsum('nhld,nhde->nhle', exchange[i], context[1 - i]).transpose(1, 2).reshape(n, h * w, C)
        z = tokens[i] + F.linear(torch.cat([residual[i], v], -1), ffm.end[i].weight, ffm.end[i].bias)
        out.append(F.layer_norm(z, (C, ), ffm.norm[i].weight, ffm.norm[i].bias, eps=1e-5))
    merged = torch.cat(out, -1).transpose(1, 2).reshape(n, 2 * C, h, w)
    e = ffm.embed
    z = F.conv2d(F.conv2d(merged, e[0].weight, e[0].bias), e[1].weight, e[1].bias, padding=1, groups=C)
    z = F.conv2d(F.relu(z), e[3].weight, e[3].bias)
    norm = lambda m, z: F.batch_norm(z, m.running_mean, m.running_var, m.weight, m.bias, eps=1e-5)  # noqa: E731
    return norm(ffm.merge_norm, F.conv2d(merged, ffm.residual.weight) + norm(e[4], z))


@pytest.mark.parametrize('heads', [1, 2, 5])
def test_fusion_is_the_formula(pair, heads):
    fusion = randomise(CMXFusion(dict(rgb=(3, C), hha=(3, C)), num_heads=(1, heads))).eval()
    out = fusion(1, dict(rgb=pair[0], hha=pair[1]))
    assert torch.allclose(out, plain_fusion(fusion.stages[1], pair, heads), atol=1e-11)


def test_the_names_decide_not_the_order(pair):
    fusion = randomise(CMXFusion(dict(rgb=(C, ), hha=(C, )), num_heads=(2, ))).eval()
    a = fusion(0, dict(rgb=pair[0], hha=pair[1]))
    assert torch.equal(a, fusion(0, dict(hha=pair[1], rgb=pair[0])))
    assert not torch.allclose(a, fusion(0, dict(rgb=pair[1], hha=pair[0])))


def test_gradients_reach_everything_and_are_right(pair):
    frm = randomise(CMXRectification(dict(a=C, b=C)))
    fusion = randomise(CMXFusion(dict(a=(C, ), b=(C, )), num_heads=(2, ))).train()

    def run(a, b):
        return fusion(0, frm(dict(a=a, b=b)))

    run(*pair).square().sum().backward()
    for name, parameter in [*frm.named_parameters(), *fusion.named_parameters()]:
        assert parameter.grad is not None, name
    fusion.eval()
    small = [x[:1, :, :2, :3].clone().requires_grad_() for x in pair]
    assert torch.autograd.gradcheck(run, small)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_mixed_precision(dtype):
    """Many tokens, so that the context's sum is far beyond what half precision holds."""
    torch.manual_seed(2)
    fusion = randomise(CMXFusion(dict(a=(C, ), b=(C, )), num_heads=(2, ))).float().eval()
    maps = {name: torch.randn(1, C, 96, 96) * 4 for name in 'ab'}
    frm = randomise(CMXRectification(dict(a=C, b=C))).float()
    full = fusion(0, frm(maps))
    u = fusion.stages[0].proj[0](maps['a'].flatten(2).transpose(1, 2)).relu()[..., C:]
    k, v = fusion.stages[0].kv[0](u).chunk(2, -1)
    assert (k.transpose(1, 2) @ v).abs().max() > 65504, 'the test would not see an overflow'
    with torch.autocast('cpu', dtype=dtype):
        mixed = fusion(0, frm(maps))
    assert mixed.isfinite().all()
    assert (mixed.float() - full).abs().mean() < .05 * full.abs().mean()


def test_published_initialisation():
    torch.manual_seed(0)
    fusion = CMXFusion(dict(a=(320, ), b=(320, )), num_heads=(5, ))
    frm = CMXRectification(dict(a=320, b=320))
    fusion.init_weights()
    frm.init_weights()
    stage = fusion.stages[0]
    assert stage.proj[0].weight.std().item() == pytest.approx(.02, rel=.02)
    assert stage.embed[1].weight.std().item() == pytest.approx(math.sqrt(2 / 9), rel=.05)  # depthwise: fan_out is 9
    assert stage.residual.weight.std().item() == pytest.approx(math.sqrt(2 / 320), rel=.02)
    assert frm.channel[0].weight.std().item() == pytest.approx(.02, rel=.02)
    assert frm.spatial[0].weight.std().item() == pytest.approx(math.sqrt(2 / 320), rel=.02)
    assert all((m.bias == 0).all() for m in stage.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d) and m.bias is not None)


def test_parameter_counts():
    """Counted by hand for C channels: FRM 24C^2 + 6C + 2C^2 + C + 2C + 2; FFM 12C^2 + 10C + 5C^2 + 16C."""
    frm = CMXRectification(dict(a=C, b=C))
    assert sum(p.numel() for p in frm.parameters()) == (16 + 8 + 2) * C * C + (4 + 2 + 1 + 2) * C + 2
    fusion = CMXFusion(dict(a=(C, ), b=(C, )), num_heads=(1, ))
    linear = 2 * (2 * C * C + 2 * C) + 2 * 2 * C * C + 2 * (2 * C * C + C) + 2 * 2 * C
    merge = 2 * C * C + (2 * C * C + C) + (9 * C + C) + (C * C + C) + 2 * 2 * C
    assert sum(p.numel() for p in fusion.parameters()) == linear + merge


def test_bad_configs():
    with pytest.raises(ConfigError, match='two modalities'):
        CMXRectification(dict(a=4, b=4, c=4))
    with pytest.raises(ConfigError, match='same channels'):
        CMXFusion(dict(a=(4, ), b=(8, )), num_heads=(1, ))
    with pytest.raises(ConfigError, match='3 heads'):
        CMXFusion(dict(a=(4, ), b=(4, )), num_heads=(3, ))
    with pytest.raises(ConfigError, match='4 numbers of heads for 1'):
        CMXFusion(dict(a=(4, ), b=(4, )))
