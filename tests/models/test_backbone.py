import copy

import pytest
import torch
from helpers import entries, tiny_encoder
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmpretrain.models.backbones import ResNet

from decur.errors import ConfigError
from decur.models import MultimodalBackbone
from decur.models.streams import Stream


def inputs(n=2, size=32):
    return {name: torch.randn(n, entry['channels'], size, size) for name, entry in entries().items()}


@MODELS.register_module()
class SwapStreams(BaseModule):
    """Across streams: every modality gets the sum of the others."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, maps):
        total = sum(maps.values())
        return {name: total - x for name, x in maps.items()}


@MODELS.register_module()
class AddOne(BaseModule):
    """In a stream: x + 1."""

    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        return x + 1


def test_stages_equal_the_library_backbone():
    entry = dict(channels=5, encoder=dict(type='mmpretrain.ResNet', depth=50))
    stream = Stream('x', entry).eval()
    plain = ResNet(depth=50, in_channels=5, out_indices=(0, 1, 2, 3))
    plain.eval()  # mmpretrain's returns None
    plain.load_state_dict(stream.encoder.state_dict())
    x = torch.randn(1, 5, 64, 64)
    for ours, theirs in zip(stream(x), plain(x)):
        assert torch.equal(ours, theirs)
    assert stream.stage_channels == (256, 512, 1024, 2048)
    assert torch.allclose(stream.feature(stream(x)[-1]), plain(x)[-1].mean((2, 3)))


def test_maps_by_modality_or_fused_from_dict_or_one_tensor():
    backbone = MultimodalBackbone(entries(), fusion=dict(type='ConcatFusion')).eval()
    batch = inputs()
    fused = backbone(batch)
    assert [tuple(x.shape) for x in fused] == [(2, 16, 16, 16), (2, 32, 8, 8), (2, 64, 4, 4), (2, 128, 2, 2)]
    joined = torch.cat(list(batch.values()), dim=1)
    assert all(torch.equal(a, b) for a, b in zip(fused, backbone(joined)))
    separate = MultimodalBackbone(entries()).eval()
    separate.load_state_dict(backbone.state_dict())
    maps = separate(batch)
    assert torch.equal(torch.cat([maps['sar'][2], maps['optical'][2]], dim=1), fused[2])


def test_any_subset_of_modalities_and_unequal_sizes():
    backbone = MultimodalBackbone(entries()).eval()
    batch = dict(inputs(size=32), optical=torch.randn(2, 13, 48, 48))
    both = backbone.features(batch)
    assert {n: tuple(x.shape) for n, x in both.items()} == dict(sar=(2, 64), optical=(2, 64))
    alone = backbone.features(dict(optical=batch['optical']))
    assert list(alone) == ['optical'] and torch.equal(alone['optical'], both['optical'])
    with pytest.raises(ConfigError, match='thermal'):
        backbone.features(dict(thermal=batch['sar']))


def test_no_modality_is_an_error():
    with pytest.raises(ConfigError, match='no modality was given: this model takes any of'):
        MultimodalBackbone(entries()).features({})


def test_interaction_changes_the_stages_after_it_only():
    plain = MultimodalBackbone(entries()).eval()
    crossed = MultimodalBackbone(entries(), interactions={1: dict(type='SwapStreams')}).eval()
    crossed.load_state_dict(plain.state_dict())
    batch = inputs()
    a, b = plain(batch), crossed(batch)
    assert torch.equal(a['sar'][0], b['sar'][0])
    assert torch.allclose(b['sar'][1], a['optical'][1], atol=1e-6)  # with two modalities the sum of the others is the other
    assert not torch.equal(a['sar'][2], b['sar'][2])
    with pytest.raises(ConfigError, match='optical.*missing'):
        crossed(dict(sar=batch['sar']))
    assert crossed.interactions['1'].channels == dict(sar=16, optical=16)


def test_attention_acts_inside_its_stream():
    with_attention = entries()
    with_attention['sar']['attention'] = {3: dict(type='AddOne')}
    plain, attended = MultimodalBackbone(entries()).eval(), MultimodalBackbone(with_attention).eval()
    attended.load_state_dict(plain.state_dict())
    batch = inputs()
    a, b = plain(batch), attended(batch)
    assert torch.equal(b['sar'][3], a['sar'][3] + 1) and torch.equal(b['optical'][3], a['optical'][3])
    with_attention['sar']['attention'] = {4: dict(type='AddOne')}
    with pytest.raises(ConfigError, match='attention after stage 4'):
        MultimodalBackbone(with_attention)


def test_frozen_streams_stay_in_eval_mode_and_get_no_gradient():
    backbone = MultimodalBackbone(entries(), frozen=True).train()
    assert not any(p.requires_grad for p in backbone.parameters())
    before = copy.deepcopy(backbone.state_dict())
    backbone(inputs())
    assert all(torch.equal(before[k], v) for k, v in backbone.state_dict().items())  # running statistics included


def test_init_weights_reaches_the_encoders():
    backbone = MultimodalBackbone(entries())
    before = backbone.streams['sar'].encoder.conv1.weight.clone()
    backbone.init_weights()
    assert not torch.equal(before, backbone.streams['sar'].encoder.conv1.weight)


def test_a_copy_steps_its_own_encoder():
    backbone = MultimodalBackbone(entries()).eval()
    twin = copy.deepcopy(backbone)
    torch.nn.init.zeros_(twin.streams['sar'].encoder.conv1.weight)
    batch = inputs()
    assert not torch.equal(backbone(batch)['sar'][0], twin(batch)['sar'][0])


@pytest.mark.parametrize('change, message', [
    (dict(encoder=None), 'has no encoder'),
    (dict(encoder=tiny_encoder(in_channels=3)), 'has 2 channels but its encoder says in_channels=3'),
    (dict(encoder=dict(type='mmpretrain.ConvNeXt', arch=dict(depths=[1] * 4, channels=[4] * 4))),
     'ConvNeXt has no stepper.*Known: .*MixVisionTransformer.*ResNet.*register_stepper'),
    (dict(encoder=dict(type='mmpretrain.VGG', depth=11)), "'sar'.*mmpretrain.VGG cannot be built.*in_channels"),
    (dict(encoder=dict(type='mmpretrain.ResNett', depth=18)), "'sar'.*mmpretrain.ResNett cannot be built.*not in the"),
])
def test_a_wrong_encoder_is_named(change, message):
    wrong = entries()
    wrong['sar'].update(change)
    with pytest.raises(ConfigError, match=message) as caught:
        MultimodalBackbone(wrong)
    assert '\n' not in str(caught.value)


def test_a_wrong_input_shape_is_named():
    backbone = MultimodalBackbone(entries())
    with pytest.raises(ConfigError, match=r"'sar' takes \(N, 2, H, W\), got \(1, 3, 8, 8\)"):
        backbone(dict(sar=torch.zeros(1, 3, 8, 8)))
