"""Exports for TorchGeo and TerraTorch, loaded by their own loaders: every tensor arrives, and the features are ours."""
import pytest
import torch
from helpers import tiny_encoder

from decur.errors import WeightsError
from decur.models import MultimodalBackbone
from decur.weights import save_file
from decur.weights.export import export_encoder

VIT = dict(type='mmpretrain.VisionTransformer', arch='deit-s', img_size=224, patch_size=16)
MIT = dict(type='DecurMixVisionTransformer', arch='b0', num_layers=(2, 2, 2, 2))
OPTICAL = ('COASTAL_AEROSOL', 'BLUE', 'GREEN', 'RED', 'RED_EDGE_1', 'RED_EDGE_2', 'RED_EDGE_3', 'NIR_BROAD', 'NIR_NARROW', 'WATER_VAPOR',
           'CIRRUS', 'SWIR_1', 'SWIR_2')


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    resnet = dict(type='mmpretrain.ResNet', depth=50)
    model = MultimodalBackbone(dict(sar=dict(channels=2, encoder=resnet), optical=dict(channels=13, encoder=resnet),
                                    vit=dict(channels=13, encoder=VIT), mit=dict(channels=3, encoder=MIT),
                                    small=dict(channels=2, encoder=tiny_encoder()))).eval()
    for buffer in model.buffers():  # running statistics count too
        if buffer.dtype.is_floating_point and buffer.ndim == 1:
            buffer.uniform_(.5, 1.5)
    return model


def test_what_torchgeo_has_no_model_for_is_refused(model):
    """With strict=False the keys would be lost without a word."""
    for naming in ('torchgeo', 'terratorch'):
        with pytest.raises(WeightsError, match='no standard model of timm: TorchGeo and TerraTorch cannot build it.*resnet50') as error:
            export_encoder(model.state_dict(), 'small', naming)
        assert '\n' not in str(error.value)
    with pytest.raises(WeightsError, match='which are of a resnet or vit; use --export mit'):
        export_encoder(model.state_dict(), 'mit', 'terratorch')
    found = export_encoder(model.state_dict(), 'vit', 'torchgeo')
    assert found['hyper_parameters'] == dict(model='vit_small_patch16_224', in_channels=13)
    assert export_encoder(model.state_dict(), 'mit', 'torchgeo')['hyper_parameters'] == dict(model='mit_b0', in_channels=3)


@pytest.mark.parametrize('name, factory, bands', [
    ('sar', 'ssl4eos12_resnet50_sentinel1_all_decur', ('VV', 'VH')),
    ('optical', 'ssl4eos12_resnet50_sentinel2_all_decur', OPTICAL),
    ('vit', 'ssl4eos12_vit_small_patch16_224_sentinel2_all_moco', OPTICAL),
])
def test_every_key_arrives_in_terratorch(model, tmp_path, name, factory, bands):
    registry = pytest.importorskip('terratorch.registry')
    pytest.importorskip('terratorch.models.backbones.torchgeo_resnet')
    pytest.importorskip('terratorch.models.backbones.torchgeo_vit')
    state = export_encoder(model.state_dict(), name, 'terratorch')
    path = save_file(state, tmp_path / f'{name}.pth')
    built = registry.TERRATORCH_BACKBONE_REGISTRY.build(factory, model_bands=list(bands), pretrained=True, ckpt_data=str(path),
                                                        out_indices=[-1])
    inner = (getattr(built, 'resnet_model', None) or built.vit_model).eval()
    theirs = inner.state_dict()
    assert set(theirs) - set(state) <= {'fc.weight', 'fc.bias', 'head.weight', 'head.bias'} and set(state) <= set(theirs)
    assert all(theirs[key].equal(value) for key, value in state.items())
    x = torch.randn(1, len(bands), 224, 224)
    with torch.no_grad():
        want = model.features({name: x})[name]
        found = inner.forward_head(inner.forward_features(x), pre_logits=True)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['sar', 'optical', 'vit', 'mit'])
def test_every_key_arrives_in_torchgeo(model, tmp_path, name):
    trainers = pytest.importorskip('torchgeo.trainers')
    export = export_encoder(model.state_dict(), name, 'torchgeo')
    path = save_file(export, tmp_path / f'{name}.pth')
    state = {key.removeprefix('model.'): value for key, value in export['state_dict'].items()}
    kwargs = dict(weights=str(path), in_channels=export['hyper_parameters']['in_channels'], num_classes=4, task='multiclass')
    if name in ('sar', 'mit'):
        task = trainers.SemanticSegmentationTask(model='unet', backbone=export['hyper_parameters']['model'], **kwargs)
        theirs = task.model.encoder.state_dict()
        assert set(theirs) == set(state)
    else:
        task = trainers.ClassificationTask(model=export['hyper_parameters']['model'], **kwargs)
        theirs = task.model.state_dict()
        assert set(theirs) - set(state) == {f'{task.model.default_cfg["classifier"]}.{kind}' for kind in ('weight', 'bias')}
    assert set(state) <= set(theirs) and all(theirs[key].equal(value) for key, value in state.items())
