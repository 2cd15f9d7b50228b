import pytest
import torch
from mmpretrain.models.backbones import VisionTransformer

from decur.errors import ConfigError
from decur.models.streams import Stream

ARCH = dict(embed_dims=32, num_layers=8, num_heads=4, feedforward_channels=64)


def stream(channels=13, **kwargs):
    torch.manual_seed(0)
    out = Stream('x', dict(channels=channels, encoder=dict(type='mmpretrain.VisionTransformer', arch=ARCH, img_size=64, **kwargs))).eval()
    for p in out.parameters():
        torch.nn.init.normal_(p, std=.1)
    return out


def feature(net, x):
    state = net.stem(x)
    for index in range(net.num_stages):
        state = net.stage(index, state)
    return net.feature(state)


@pytest.mark.parametrize('size', [(64, 64), (32, 96)])
def test_stages_equal_the_library(size):
    net = stream()
    x = torch.randn(2, 13, *size)
    with torch.no_grad():
        maps = net(x)
        for out_type in ('featmap', 'cls_token'):
            plain = VisionTransformer(arch=ARCH, img_size=64, in_channels=13, out_indices=[1, 3, 5, 7], out_type=out_type)
            plain.eval()
            plain.load_state_dict(net.encoder.state_dict())
            if out_type == 'featmap':
                for ours, theirs in zip(maps, plain(x)):
                    assert torch.allclose(ours, theirs, atol=1e-5)
            else:
                assert torch.allclose(feature(net, x), plain(x)[-1], atol=1e-5)
    assert net.stage_channels == (32, 32, 32, 32) and net.feature_dim == 32


def test_the_class_token_reads_what_acts_between_the_stages():
    net = stream(3)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        state = net.stage(0, net.stem(x))
        changed = net.replace(state, net.map(state) + torch.randn(32, 4, 4))
        assert torch.equal(changed.extra, state.extra)
        for index in range(1, 4):
            state, changed = net.stage(index, state), net.stage(index, changed)
        assert not torch.allclose(net.feature(state), net.feature(changed))


def test_without_class_token_the_feature_is_the_mean():
    net = stream(3, with_cls_token=False, out_type='featmap')
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(feature(net, x), net(x)[-1].mean((2, 3)), atol=1e-6)


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match='multiples of 16 and 16, got 60x64'):
        stream(3)(torch.randn(1, 3, 60, 64))
    with pytest.raises(ConfigError, match='6 layers'):
        Stream('x', dict(channels=3, encoder=dict(type='mmpretrain.VisionTransformer', arch=dict(ARCH, num_layers=6))))
