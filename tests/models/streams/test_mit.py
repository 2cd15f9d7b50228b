import pytest
import torch
from mmseg.models.backbones import MixVisionTransformer

from decur.errors import ConfigError
from decur.models.streams import DecurMixVisionTransformer, Stream
from decur.models.streams.mit import _attend

TINY = dict(embed_dims=8, num_layers=(1, 1, 2, 1))


def pair(**kwargs):
    """Ours and mmseg's with the same weights and mmseg's epsilons set to ours."""
    torch.manual_seed(0)
    ours = DecurMixVisionTransformer('b0', **{**TINY, **kwargs}).eval()
    for p in ours.parameters():
        torch.nn.init.normal_(p, std=.3)
    theirs = MixVisionTransformer(num_heads=(1, 2, 5, 8), **{**TINY, **kwargs}).eval()
    theirs.load_state_dict(ours.state_dict())  # the same names
    for module in theirs.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-6
    for patch_embed, blocks, _ in theirs.layers:
        patch_embed.norm.eps = 1e-5
        for block in blocks:
            if block.attn.sr_ratio > 1:
                block.attn.norm.eps = 1e-5
    return ours, theirs


@pytest.mark.parametrize('size', [(32, 32), (64, 96), (33, 50)])
def test_same_function_as_mmseg_apart_from_the_epsilons(size):
    ours, theirs = pair(in_channels=5)
    x = torch.randn(2, 5, *size)
    with torch.no_grad():
        maps = ours(x)
        for a, b in zip(maps, theirs(x)):
            assert a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_same_gradients_as_mmseg():
    ours, theirs = pair()
    x = torch.randn(2, 3, 64, 64)
    weights = [torch.randn_like(m) for m in ours(x)]
    for net in (ours, theirs):
        sum((m * w).sum() for m, w in zip(net(x), weights)).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-3 * float(b.grad.abs().max())), name


@pytest.mark.parametrize('heads', [1, 3])
def test_gradients_of_attention_in_parts_for_the_threads(heads):
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, length, 4 * heads, dtype=torch.float64, requires_grad=True) for length in (12, 5, 5))
    weight = torch.randn(1, 12, 4 * heads, dtype=torch.float64)
    split = [t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (q, k, v)]
    expected = ((split[0] @ split[1].transpose(2, 3) / 2).softmax(-1) @ split[2]).transpose(1, 2).flatten(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        out = _attend(q, k, v, heads, 0.)
        found = torch.autograd.grad((out * weight).sum(), (q, k, v))
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(out, expected)
    for a, b in zip(found, torch.autograd.grad((expected * weight).sum(), (q, k, v))):
        assert torch.allclose(a, b)


def test_epsilons_are_the_published_ones():
    net = DecurMixVisionTransformer('b0')
    found = {name: module.eps for name, module in net.named_modules() if isinstance(module, torch.nn.LayerNorm)}
    small = {name for name, eps in found.items() if eps == 1e-5}
    assert small == {name for name in found if name.endswith('attn.norm') or name.endswith('.0.norm')}
    assert all(eps == 1e-6 for name, eps in found.items() if name not in small)


@pytest.mark.parametrize('arch, count', [('b0', 3_319_392), ('b1', 13_151_424), ('b2', 24_196_288), ('b3', 44_072_128), ('b4', 60_842_688),
                                         ('b5', 81_443_008)])
def test_parameters_of_every_size(arch, count):
    net = DecurMixVisionTransformer(arch)
    assert sum(p.numel() for p in net.parameters()) == count


def test_stepper_gives_the_same_maps_and_takes_mmsegs_own_class():
    ours, theirs = pair()
    x = torch.randn(1, 3, 64, 64)
    for type_, net in (('DecurMixVisionTransformer', ours), ('mmseg.MixVisionTransformer', theirs)):
        entry = dict(channels=3, encoder=dict(type=type_, num_heads=(1, 2, 5, 8), **TINY))
        stream = Stream('x', entry).eval()
        stream.encoder.load_state_dict(net.state_dict())
        if net is theirs:
            stream.encoder = theirs
            stream._stepper.backbone = theirs
        assert stream.stage_channels == (8, 16, 40, 64)
        with torch.no_grad():
            for a, b in zip(stream(x), net(x)):
                assert torch.allclose(a, b, atol=1e-5)


def test_smallest_size_is_exact_and_named():
    stream = Stream('rgb', dict(channels=3, encoder=dict(type='DecurMixVisionTransformer', arch='b0', **TINY)))
    assert stream(torch.randn(1, 3, 29, 29))[-1].shape == (1, 64, 1, 1)
    with pytest.raises(ConfigError, match='at least 29 pixels, got 28x64'):
        stream(torch.randn(1, 3, 28, 64))
    with pytest.raises(ConfigError, match='7x7 is smaller than its spatial reduction of 8'):  # the network itself cannot take 28
        stream.encoder(torch.randn(1, 3, 28, 28))


def test_gradient_checkpointing_and_bfloat16():
    torch.manual_seed(0)
    plain = DecurMixVisionTransformer('b0', drop_path_rate=0., **TINY)
    saving = DecurMixVisionTransformer('b0', drop_path_rate=0., with_cp=True, **TINY)
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 32, 32)
    for net in (plain, saving):
        net(x)[-1].square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)
    plain.init_weights()
    with torch.no_grad():
        exact = plain(x)
        for half, full in zip(plain.bfloat16()(x.bfloat16()), exact):
            assert half.dtype == torch.bfloat16 and (half.float() - full).norm() / full.norm() < 0.05


def test_unknown_size_is_named():
    with pytest.raises(ConfigError, match="arch of a MiT must be .* got 'b6'"):
        DecurMixVisionTransformer('b6')
