"""Deformable attention against a float64 reference that is written with loops, and its gradients."""
import math

import pytest
import torch
from mmengine.registry import MODELS

from decur.errors import ConfigError
from decur.models.interactions import DA, RDA, CrossDA, DeformableAttention

SMALL = dict(num_heads=4, groups=2, stride=2, kernel_size=3, map_size=6)


def build(channels=8, seed=0, cls=DA, dtype=torch.float64, **kwargs):
    torch.manual_seed(seed)
    module = cls(channels, **{**SMALL, **kwargs}).to(dtype)
    for p in module.parameters():  # large offsets and biases, so that clamping and the table matter
        torch.nn.init.normal_(p, std=0.6)
    return module


def lookup(image, y, x):
    """Bilinear value of an (H, W) image at (y, x) in [-1, 1], corners at the pixel centres, zero outside."""
    height, width = image.shape
    row, col = (y + 1) / 2 * (height - 1), (x + 1) / 2 * (width - 1)
    value = 0.
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(col), math.floor(col) + 1):
            if 0 <= r < height and 0 <= c < width:
                value += float(image[r, c]) * (1 - abs(row - r)) * (1 - abs(col - c))
    return value


def reference(module, x, source):
    """One image ``(C, H, W)``, everything spelt out."""
    heads, groups = module.num_heads, module.groups
    channels, height, width = x.shape

    def project(conv, vector):
        return conv.weight[:, :, 0, 0] @ vector + conv.bias

    q = torch.stack([project(module.proj_q, x[:, i, j]) for i in range(height) for j in range(width)])  # (HW, C)
    q_map = q.T.reshape(channels, height, width)
    size, dim = channels // groups, channels // heads
    out = torch.zeros(height * width, channels, dtype=x.dtype)
    for g in range(groups):
        depthwise, norm, _, last = module.conv_offset
        hidden = depthwise(q_map[g * size:(g + 1) * size][None])[0]
        hk, wk = hidden.shape[1:]
        tokens = torch.nn.functional.layer_norm(hidden.flatten(1).T, (size, ), norm.norm.weight, norm.norm.bias, 1e-5)
        offsets = torch.nn.functional.gelu(tokens) @ last.weight[:, :, 0, 0].T  # (hk wk, 2)
        places = []
        for n in range(hk * wk):
            i, j = divmod(n, wk)
            y = offsets[n, 0].item() + (i + .5) / (hk - 1) * 2 - 1
            x_ = offsets[n, 1].item() + (j + .5) / (wk - 1) * 2 - 1
            places.append((min(max(y, -1.), 1.), min(max(x_, -1.), 1.)))
        sampled = torch.tensor([[lookup(source[c], *place) for c in range(g * size, (g + 1) * size)] for place in places], dtype=x.dtype)
        module.sampled[g] = sampled
        for h in range(g * heads // groups, (g + 1) * heads // groups):
            module.places[h] = places
    tokens = torch.cat([module.sampled[g] for g in range(groups)], dim=1)  # (n, C)
    k = torch.stack([project(module.proj_k, t) for t in tokens])
    v = torch.stack([project(module.proj_v, t) for t in tokens])
    for h in range(heads):
        part = slice(h * dim, (h + 1) * dim)
        for n in range(height * width):
            i, j = divmod(n, width)
            qy, qx = i / (height - 1) * 2 - 1, j / (width - 1) * 2 - 1
            bias = torch.tensor([lookup(module.rpe_table[h], (qy - y) / 2, (qx - x_) / 2) for y, x_ in module.places[h]], dtype=x.dtype)
            scores = k[:, part] @ q[n, part] * dim**-.5 + bias
            out[n, part] = torch.softmax(scores, 0) @ v[:, part]
    return torch.stack([project(module.proj_out, o) for o in out]).T.reshape(channels, height, width)


@pytest.mark.parametrize('size', [(6, 6), (5, 8)])
def test_it_equals_the_formula_spelt_out(size):
    module = build()
    module.sampled, module.places = {}, {}
    x = torch.randn(2, 8, *size, dtype=torch.float64)
    with torch.no_grad():
        out = module(x)
        for n in range(2):
            assert torch.allclose(out[n], reference(module, x[n], x[n]), atol=1e-10)


def test_cross_attention_takes_keys_and_values_from_the_other_modality():
    torch.manual_seed(0)
    module = CrossDA(dict(a=8, b=8), **SMALL).double()
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.6)
    maps = {name: torch.randn(1, 8, 6, 6, dtype=torch.float64) for name in 'ab'}
    with torch.no_grad():
        out = module(maps)
        for name, other in (('a', 'b'), ('b', 'a')):
            part = module.attention[name]
            part.sampled, part.places = {}, {}
            assert torch.allclose(out[name][0], reference(part, maps[name][0], maps[other][0]), atol=1e-10)
        module.residual = True
        assert torch.allclose(module(maps)['a'], maps['a'] + out['a'])


def test_cross_attention_with_three_modalities_attends_to_all_the_others():
    torch.manual_seed(0)
    module = CrossDA(dict(a=8, b=8, c=8), **SMALL).double()
    maps = {name: torch.randn(1, 8, 6, 6, dtype=torch.float64, requires_grad=True) for name in 'abc'}
    out = module(maps)
    assert list(out) == ['a', 'b', 'c']
    grads = torch.autograd.grad(out['a'].square().sum(), list(maps.values()))
    assert all(g.abs().max() > 0 for g in grads)
    # Twice the same source is the same average.
    twin = module.attention['a']
    assert torch.allclose(twin(maps['a'], (maps['b'], maps['b'])), twin(maps['a'], (maps['b'], )), atol=1e-12)


def test_residual_form():
    da, rda = build(cls=DA), build(cls=RDA)
    rda.load_state_dict(da.state_dict())
    x = torch.randn(1, 8, 6, 6, dtype=torch.float64)
    assert torch.allclose(rda(x), x + da(x))
    assert [k for k in da.state_dict()] == [
        'rpe_table', 'conv_offset.0.weight', 'conv_offset.0.bias', 'conv_offset.1.norm.weight', 'conv_offset.1.norm.bias',
        'conv_offset.3.weight', 'proj_q.weight', 'proj_q.bias', 'proj_k.weight', 'proj_k.bias', 'proj_v.weight', 'proj_v.bias',
        'proj_out.weight', 'proj_out.bias'
    ]


def test_gradients_agree_with_finite_differences():
    module = build(channels=4, num_heads=2, map_size=3)
    module.conv_offset[3].weight.data.mul_(0.05)  # away from the clamp and from pixel borders, where there is no derivative
    x = torch.randn(1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    names, values = zip(*module.named_parameters())

    def function(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values)), (x, ))

    assert torch.autograd.gradcheck(function, (x, *values), atol=1e-6)


@pytest.mark.parametrize('size', [(7, 7), (14, 14), (20, 12), (1, 1), (1, 5)])
def test_any_map_size(size):
    module = build(dtype=torch.float32, map_size=7)
    out = module(torch.randn(2, 8, *size))
    assert out.shape == (2, 8, *size) and out.isfinite().all()


def test_the_table_follows_the_size_of_the_map():
    """A map twice as large sees the table stretched: a displacement of half the map reads the same entry."""
    module = build(dtype=torch.float64, map_size=5)
    points = torch.tensor([[[[0., 0.]]]], dtype=torch.float64).expand(2, 1, 1, 2)
    small, large = module._bias(points, 5, 5), module._bias(points, 9, 9)  # 9 = 2 * 5 - 1: every second query lies on the old grid
    small, large = small.reshape(4, 5, 5), large.reshape(4, 9, 9)
    assert torch.allclose(small, large[:, ::2, ::2])
    assert not torch.allclose(large[:, 1::2, 1::2], large[:, :-1:2, :-1:2])


def test_a_table_of_another_map_size_is_interpolated_on_loading():
    source, target = build(map_size=7, dtype=torch.float32), build(map_size=10, dtype=torch.float32)
    target.load_state_dict(source.state_dict())
    old, new = source.rpe_table, target.rpe_table
    assert new.shape == (4, 19, 19)
    assert torch.allclose(new[:, ::18, ::18], old[:, ::12, ::12], atol=1e-5)  # corners: the largest displacements
    assert torch.allclose(new[:, 9, 9], old[:, 6, 6], atol=1e-5)  # centre: no displacement
    with pytest.raises(RuntimeError, match='rpe_table'):
        build(num_heads=2, dtype=torch.float32).load_state_dict(source.state_dict())


def test_bfloat16_and_autocast_stay_near_float32():
    module = build(channels=32, dtype=torch.float32, map_size=14)
    for p in module.parameters():
        p.data.mul_(0.3)
    x = torch.randn(2, 32, 14, 14)
    with torch.no_grad():
        exact = module(x)
        with torch.autocast('cpu', torch.bfloat16):
            mixed = module(x)
        assert mixed.dtype == torch.bfloat16
        half = module.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    for out in (mixed, half):
        assert (out.float() - exact).norm() / exact.norm() < 0.03


@pytest.mark.parametrize('kind, channels', [('RDA', 1024), ('DA', 1024)])
def test_sizes_of_the_supplement(kind, channels):
    cfg = dict(type=kind, num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14)
    module = MODELS.build(cfg, default_args=dict(channels=channels))
    assert module.rpe_table.shape == (8, 27, 27)
    assert module.conv_offset[0].weight.shape == (256, 1, 5, 5)
    assert module(torch.randn(1, channels, 14, 14)).shape == (1, channels, 14, 14)


@pytest.mark.parametrize('change, message', [(dict(num_heads=3), '3 heads must divide 8'), (dict(groups=3), '3 groups the heads'),
                                             (dict(kernel_size=4), 'must be odd')])
def test_impossible_sizes_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        DeformableAttention(8, **{**SMALL, **change})
    with pytest.raises(ConfigError, match='same channels'):
        CrossDA(dict(a=8, b=16), **SMALL)
