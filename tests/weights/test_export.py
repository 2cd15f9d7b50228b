"""Encoders leave in other libraries' names and come back as they were."""
from pathlib import Path

import pytest
import torch
import torchvision
from helpers import run_tool
from mmengine.config import Config

from decur.errors import WeightsError
from decur.models import MultimodalBackbone
from decur.weights import load_file, save_file
from decur.weights.convert import convert, parse
from decur.weights.export import export_encoder

ROOT = Path(__file__).parents[2]
MIT = dict(type='DecurMixVisionTransformer', arch='b0', num_layers=(1, 1, 1, 1))
VIT = dict(type='mmpretrain.VisionTransformer', arch=dict(embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64), img_size=32)
ATTENTION = {'3': dict(type='RDA', num_heads=8, groups=4, stride=1, kernel_size=3, map_size=7)}


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return MultimodalBackbone(
        dict(
            rgb=dict(channels=3, encoder=dict(type='mmpretrain.ResNet', depth=18)),
            sar=dict(channels=2, encoder=VIT),
            hha=dict(channels=3, encoder=MIT, feature_channels=16),
            dem=dict(channels=1, encoder=dict(type='mmpretrain.ResNet', depth=18), attention=ATTENTION))).eval()


def test_a_resnet_loads_in_torchvision_and_gives_the_same_features(model):
    net = torchvision.models.resnet18()
    net.fc = torch.nn.Identity()
    net.load_state_dict(export_encoder(model.state_dict(), 'rgb', 'torchvision'), strict=True)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(net.eval()(x), model.features(dict(rgb=x))['rgb'], atol=1e-5)


@pytest.mark.parametrize('name, naming', [('rgb', 'torchvision'), ('sar', 'timm'), ('hha', 'mit')])
def test_round_trip_is_the_identity(model, name, naming):
    state = model.state_dict()
    exported = export_encoder(state, name, naming)
    back = {f'streams.{name}.{part}.{key}': value
            for part, values in parse(exported, 'exported').encoders[0].parts.items() for key, value in values.items()}
    ours = {key: value for key, value in state.items() if key.startswith(f'streams.{name}.')}
    assert back.keys() == ours.keys() and all(torch.equal(back[key], value) for key, value in ours.items())
    assert (f'streams.{name}.head.weight' in back) == (name == 'hha')  # the linear layer before the projector
    names = set(exported)
    assert {'torchvision': 'layer1.0.conv1.weight', 'timm': 'blocks.0.attn.qkv.weight', 'mit': 'block1.0.attn.kv.weight'}[naming] in names
    assert not any('in_proj' in key or 'projection' in key for key in names)


@pytest.mark.parametrize('name, naming, message', [
    ('rgb', 'timm', "cannot be written in the names of timm, which are of a vit; use --export torchvision"),
    ('hha', 'torchvision', 'use --export mit'),
    ('dem', 'torchvision', r"trained with \['attention.3'\]"),
    (None, 'mit', 'say which encoder to write: --modality rgb|sar|hha|dem'),
    ('thermal', 'mit', "there is no 'thermal'"),
    ('rgb', 'keras', "unknown naming 'keras'"),
])
def test_what_cannot_be_written_is_named(model, name, naming, message):
    with pytest.raises(WeightsError, match=message):
        export_encoder(model.state_dict(), name, naming)


def test_the_command_line_writes_every_format_and_takes_it_back(tmp_path):
    encoders = dict(rgb=dict(type='mmpretrain.ResNet', depth=18), sar=VIT, hha=MIT)
    cfg = Config(dict(
        custom_imports=dict(imports=['decur'], allow_failed_imports=False), default_scope='mmpretrain',
        model=dict(
            type='MultimodalPretraining', neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=16),
            backbone=dict(type='MultimodalBackbone', modalities={name: dict(channels=3, encoder=encoder)
                                                                 for name, encoder in encoders.items()}))))
    cfg.dump(tmp_path / 'config.py')
    model = MultimodalBackbone(cfg.model.backbone.modalities)
    torch.nn.init.normal_(next(model.parameters()))
    state = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    save_file(dict(state_dict=state), tmp_path / 'src.pth')

    for name, naming in (('rgb', 'torchvision'), ('sar', 'timm'), ('hha', 'mit')):
        out = tmp_path / f'{name}.safetensors'
        run_tool('tools/convert_checkpoint.py', tmp_path / 'src.pth', out, '--config', tmp_path / 'config.py', '--export', naming,
                 '--modality', name)
        if naming == 'torchvision':
            net = torchvision.models.resnet18()
            net.fc = torch.nn.Identity()
            net.load_state_dict(load_file(out), strict=True)
        back = convert(out, cfg, name)[0]['state_dict']
        prefix = f'backbone.streams.{name}.'
        ours = {key: value for key, value in state.items() if key.startswith(prefix)}
        assert ours and all(torch.equal(back[key], value) for key, value in ours.items())
