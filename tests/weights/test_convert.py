"""Published checkpoints into our models: what is recognised, where it lands, and what stops it."""
import runpy
import sys
from pathlib import Path

import published
import pytest
import references
import torch
from helpers import run_tool
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from decur.errors import WeightsError
from decur.models import MultimodalBackbone
from decur.weights import convert, formats, load_file, load_strict, save_file
from decur.weights.metadata import read_metadata
from decur.weights.names import mit_from_nvlabs, mit_to_nvlabs, vit_from_timm, vit_to_timm
from decur.weights.streams import load_streams

ROOT = Path(__file__).parents[2]
MIT_B0 = dict(type='DecurMixVisionTransformer', arch='b0')
LOSS = dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True)


def entries(encoder, channels=(3, 3), names=('rgb', 'hha'), **kwargs):
    return {name: dict(channels=c, encoder=encoder, **kwargs) for name, c in zip(names, channels)}


def cmx_config(modalities=None):
    modalities = modalities or entries(MIT_B0)
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/cmx.py')
    cfg.merge_from_dict({
        'default_scope': 'mmseg', 'model.backbone.modalities': modalities, 'model.data_preprocessor.modalities': modalities,
        'model.decode_head.num_classes': 5, 'model.decode_head.in_channels': published.DIMS, 'model.test_cfg.mode': 'whole'})
    return cfg


def pretraining_config(modalities):
    return Config(dict(default_scope='mmpretrain', model=dict(
        type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=modalities),
        neck=dict(type='MultimodalProjector', hid_channels=16, out_channels=16))))


def segmentation_config(modalities, channels):
    return Config(dict(default_scope='mmseg', model=dict(
        type='EncoderDecoder', data_preprocessor=dict(type='MultimodalSegDataPreprocessor', modalities=modalities),
        backbone=dict(type='MultimodalBackbone', modalities=modalities, fusion=dict(type='ConcatFusion')),
        decode_head=dict(type='MultiLevelFCNHead', num_classes=3, in_channels=channels, loss_decode=LOSS), train_cfg={},
        test_cfg=dict(mode='whole'))))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def written(tmp_path, content, name='src.pth'):
    return save_file(content, tmp_path / name)


@pytest.mark.parametrize('wrapper', [
    lambda s: s, lambda s: dict(model=s), lambda s: dict(state_dict={f'module.{k}': v for k, v in s.items()})])
def test_cmx_lands_where_it_belongs(tmp_path, wrapper):
    source = published.cmx()
    checkpoint, report = convert.convert(written(tmp_path, wrapper(source)), cmx_config())
    state = checkpoint['state_dict']
    assert not report.initialised and not report.left_out
    # Weights are regrouped, none is lost or made.
    counted = [sum(v.double().sum().item() for k, v in s.items() if 'num_batches' not in k) for s in (source, state)]
    assert counted[0] == pytest.approx(counted[1], rel=1e-9)
    assert sum(v.numel() for v in source.values()) == sum(v.numel() for v in state.values())
    at = 'backbone.streams.hha.encoder.layers.1.1.1.'
    assert torch.equal(state[at + 'attn.attn.in_proj_weight'],
                       torch.cat([source['backbone.extra_block2.1.attn.q.weight'], source['backbone.extra_block2.1.attn.kv.weight']]))
    assert torch.equal(state[at + 'ffn.layers.4.weight'][..., 0, 0], source['backbone.extra_block2.1.mlp.fc2.weight'])
    assert torch.equal(state['backbone.interactions.2.channel.2.bias'], source['backbone.FRMs.2.channel_weights.mlp.2.bias'])
    assert torch.equal(state['backbone.fusion.stages.3.kv.1.weight'], source['backbone.FFMs.3.cross.cross_attn.kv2.weight'])
    assert torch.equal(state['backbone.fusion.stages.0.merge_norm.running_var'], source['backbone.FFMs.0.channel_emb.norm.running_var'])
    assert torch.equal(state['decode_head.embed.3.weight'], source['decode_head.linear_c4.proj.weight'])
    assert torch.equal(state['decode_head.fuse.conv.weight'], source['decode_head.linear_fuse.0.weight'])


def test_published_key_counts():
    """837, 1837 and 2277 keys for B2, B4 and B5: the test's own state dicts have the published size."""
    dims = (64, 128, 320, 512)
    for depths, keys in (((3, 4, 6, 3), 837), ((3, 8, 27, 3), 1837)):
        with torch.device('meta'):
            assert len(published.cmx(40, dims, depths)) == keys


def test_logits_are_those_of_the_published_model(tmp_path):
    """An independent implementation with the published names, at an odd size, in double precision."""
    source = published.cmx()
    for key, value in source.items():
        if key.endswith('running_var'):
            value.uniform_(.5, 2)
    cfg = cmx_config()
    model = convert.build_model(cfg)
    load_strict(model, convert.convert(written(tmp_path, source), cfg)[0]['state_dict'], 'src.pth')
    x = torch.randn(1, 6, 45, 67, dtype=torch.double)
    with torch.no_grad():
        out = model.double().eval()(x, mode='tensor')
        doubled = {key: value.double() for key, value in source.items()}
        expected = references.cmx(doubled, x[:, :3], x[:, 3:], published.DEPTHS)
    assert out.shape == (1, 5, 12, 17) and expected.std() > .1
    assert torch.allclose(out, expected, rtol=1e-9, atol=1e-9)


def test_names_round_trip():
    for state, there, back in ((published.mit(classes=7), mit_from_nvlabs, mit_to_nvlabs),
                               (published.vit(depth=2), vit_from_timm, vit_to_timm)):
        again = back(there(state))
        assert set(again) == set(state) and all(torch.equal(again[key], state[key]) for key in state)


def test_own_checkpoint_round_trip(tmp_path):
    cfg = cmx_config()
    first, _ = convert.convert(written(tmp_path, published.cmx()), cfg)
    again, report = convert.convert(written(tmp_path, first, 'own.pth'), cfg)
    assert report.kind == 'a checkpoint of this project' and not report.initialised and not report.left_out
    assert list(again['state_dict']) == list(first['state_dict'])
    assert all(torch.equal(value, again['state_dict'][key]) for key, value in first['state_dict'].items())


def test_joint_decur_resnet(tmp_path):
    source = published.decur([published.resnet(channels=2), published.resnet(channels=13)], 2048)
    modalities = entries(dict(type='mmpretrain.ResNet', depth=50), (2, 13), ('sar', 'ms'))
    checkpoint, report = convert.convert(written(tmp_path, source), pretraining_config(modalities))
    state, theirs = checkpoint['state_dict'], source['model']
    assert not report.initialised
    assert list(report.left_out.values()) == ['running statistics of the loss, which nothing reads']
    assert torch.equal(state['backbone.streams.ms.encoder.layer4.2.conv3.weight'], theirs['module.backbone_2.layer4.2.conv3.weight'])
    assert torch.equal(state['neck.projectors.sar.fc1.weight'], theirs['module.projector1.3.weight'])
    assert torch.equal(state['neck.projectors.ms.bn1.running_var'], theirs['module.projector2.4.running_var'])


def test_joint_decur_into_a_segmentor(tmp_path):
    """The feature head and the projectors stay behind, the decoder starts anew, and all of it is said."""
    source = published.decur([published.mit(classes=2048), published.mit(classes=2048)], 2048)
    path = written(tmp_path, source)
    checkpoint, report = convert.convert(path, cmx_config())
    state = checkpoint['state_dict']
    assert torch.equal(state['backbone.streams.hha.encoder.layers.3.2.weight'], source['model']['module.backbone_2.norm4.weight'])
    assert set(report.initialised) == {'backbone.interactions', 'backbone.fusion', 'decode_head'}
    assert {'backbone.streams.rgb.head', 'neck.projectors.hha'} < set(report.left_out)
    # ... and into pretraining, where the head belongs.
    checkpoint, report = convert.convert(path, pretraining_config(entries(MIT_B0, feature_channels=2048)))
    assert not report.initialised
    assert torch.equal(checkpoint['state_dict']['backbone.streams.rgb.head.weight'], source['model']['module.backbone_1.head.weight'])
    # Ours to ours: from that pretraining checkpoint into the segmentor, by name.
    again, report = convert.convert(written(tmp_path, checkpoint, 'ours.pth'), cmx_config())
    assert {'backbone.streams.hha.head', 'neck.projectors.rgb'} < set(report.left_out)
    for key, value in again['state_dict'].items():
        if '.encoder.' in key:
            assert torch.equal(value, checkpoint['state_dict'][key])
    # A conversion repeats, although part of it is drawn.
    again, _ = convert.convert(path, cmx_config())
    assert torch.equal(again['state_dict']['decode_head.conv_seg.weight'], state['decode_head.conv_seg.weight'])


def test_one_decur_mit_keeps_its_linear_layer(tmp_path):
    """Published files of one MiT have the linear layer before the projector under the name of SegFormer's classifier."""
    source = published.mit(classes=2048)
    path = written(tmp_path, source)
    config = pretraining_config(entries(MIT_B0, feature_channels=2048))
    with pytest.raises(WeightsError, match='--modality NAME'):  # unlike ImageNet weights, not for every stream
        convert.convert(path, config)
    checkpoint, report = convert.convert(path, config, 'hha')
    assert 'a published DeCUR MiT' in report.kind and not report.left_out
    assert torch.equal(checkpoint['state_dict']['backbone.streams.hha.head.weight'], source['head.weight'])
    # A segmentor has no such layer, and one of another width does not fit.
    assert 'backbone.streams.hha.head' in convert.convert(path, cmx_config(), 'hha')[1].left_out
    with pytest.raises(WeightsError, match=r'hha\.head\.weight.*\(2048, .*\(64, '):
        convert.convert(path, pretraining_config(entries(MIT_B0, feature_channels=64)), 'hha')
    # SegFormer's own classifier stays behind.
    _, report = convert.convert(written(tmp_path, published.mit(classes=1000), 'imagenet.pth'), config)
    assert 'classifier of the pretraining task' in report.left_out.values()
    assert {'backbone.streams.rgb.head', 'backbone.streams.hha.head'} < set(report.initialised)
    # In a file of both encoders it is DeCUR's whatever its width.
    both = published.decur([published.mit(classes=1000), published.mit(classes=1000)], 1000)
    _, report = convert.convert(written(tmp_path, both, 'both.pth'), pretraining_config(entries(MIT_B0, feature_channels=1000)))
    assert {'backbone.streams.rgb.head', 'backbone.streams.hha.head'} < set(report.taken)


def rda_entries():
    attention = {2: dict(type='RDA', num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14),
                 3: dict(type='RDA', num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)}
    return entries(dict(type='mmpretrain.ResNet', depth=50), (2, 13), ('sar', 'ms'), attention=attention)


def deformable(channels, groups, heads, size, kernel):
    """The published deformable attention's names."""
    state, c = {}, channels // groups
    for name, shape in (('conv_offset.0', (c, 1, kernel, kernel)), ('conv_offset.1.norm', (c, )), ('conv_offset.3', (2, c, 1, 1)),
                        *((f'proj_{x}', (channels, channels, 1, 1)) for x in ('q', 'k', 'v', 'out'))):
        state[f'{name}.weight'] = torch.randn(shape)
        if name != 'conv_offset.3':
            state[f'{name}.bias'] = torch.randn(shape[0])
    state['rpe_table'] = torch.randn(heads, 2 * size - 1, 2 * size - 1)
    return state


def with_attention(state, number, prefix=''):
    for stage, args in ((3, (1024, 4, 8, 14, 5)), (4, (2048, 8, 16, 7, 3))):
        state.update({f'{prefix}da{number}_l{stage}.{key}': value for key, value in deformable(*args).items()})
    return state


def test_joint_rda_and_whose_attention(tmp_path):
    source = published.decur([published.resnet(channels=2), published.resnet(channels=13)], 2048)
    for number in (1, 2):
        with_attention(source['model'], number, 'module.')
    path, cfg = written(tmp_path, source), pretraining_config(rda_entries())
    table = 'backbone.streams.ms.attention.3.rpe_table'
    checkpoint, report = convert.convert(path, cfg)
    assert 'ResNet-RDA' in report.kind and not report.initialised
    assert torch.equal(checkpoint['state_dict'][table], source['model']['module.da2_l4.rpe_table'])
    checkpoint, report = convert.convert(path, cfg, attention='first')
    assert torch.equal(checkpoint['state_dict'][table], source['model']['module.da1_l4.rpe_table'])
    assert report.taken['backbone.streams.ms.attention.3'].endswith('from backbone_1')
    # Without attention in the config the encoder would compute something else.
    plain = entries(dict(type='mmpretrain.ResNet', depth=50), (2, 13), ('sar', 'ms'))
    with pytest.raises(WeightsError, match='trained with this attention'):
        convert.convert(path, pretraining_config(plain))


def test_one_rda_encoder(tmp_path):
    source = with_attention(published.resnet('backbone.', channels=13), 2)
    checkpoint, report = convert.convert(written(tmp_path, source), pretraining_config(rda_entries()))
    assert report.kind == 'one encoder of a published DeCUR ResNet-RDA'
    assert torch.equal(checkpoint['state_dict']['backbone.streams.ms.attention.2.conv_offset.1.norm.bias'],
                       source['da2_l3.conv_offset.1.norm.bias'])
    assert 'backbone.streams.sar.attention.2' in report.initialised and 'backbone.streams.ms.encoder' in report.taken
    with pytest.raises(WeightsError, match='only a published checkpoint with both encoders'):
        convert.convert(tmp_path / 'src.pth', pretraining_config(rda_entries()), attention='first')


def test_timm_vit(tmp_path):
    encoder = dict(type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16, out_type='raw')
    source = published.decur([published.vit(channels=2), published.vit(channels=13)], 384)
    checkpoint, report = convert.convert(written(tmp_path, source), pretraining_config(entries(encoder, (2, 13), ('sar', 'ms'))))
    assert not report.initialised
    assert torch.equal(checkpoint['state_dict']['backbone.streams.ms.encoder.layers.11.ffn.layers.1.bias'],
                       source['model']['module.backbone_2.blocks.11.mlp.fc2.bias'])
    alone = published.vit(classes=1000)
    checkpoint, report = convert.convert(written(tmp_path, alone, 'timm.pth'), pretraining_config(entries(encoder, (3, ), ('rgb', ))))
    assert torch.equal(checkpoint['state_dict']['backbone.streams.rgb.encoder.ln1.weight'], alone['norm.weight'])
    assert list(report.initialised) == ['neck.projectors.rgb']


def test_imagenet_weights_start_every_stream(tmp_path):
    source = published.mit(classes=1000)
    checkpoint, report = convert.convert(written(tmp_path, source), cmx_config())
    for name in ('rgb', 'hha'):
        assert torch.equal(checkpoint['state_dict'][f'backbone.streams.{name}.encoder.layers.2.2.bias'], source['norm3.bias'])
    assert report.left_out == {'head.weight and 1 more': 'classifier of the pretraining task'}


def test_a_single_encoder_needs_its_modality(tmp_path):
    source = published.mit()
    path = written(tmp_path, source)
    with pytest.raises(WeightsError, match='--modality NAME'):
        convert.convert(path, cmx_config())
    checkpoint, report = convert.convert(path, cmx_config(), modality='hha')
    assert torch.equal(checkpoint['state_dict']['backbone.streams.hha.encoder.layers.0.2.bias'], source['norm1.bias'])
    assert 'backbone.streams.rgb.encoder' in report.initialised
    with pytest.raises(WeightsError, match="no modality 'depth'"):
        convert.convert(path, cmx_config(), modality='depth')


def test_channels_tell_the_modality(tmp_path):
    modalities = entries(dict(type='mmpretrain.ResNet', depth=50), (2, 13), ('sar', 'ms'))
    source = published.resnet(channels=13)
    checkpoint, _ = convert.convert(written(tmp_path, source), segmentation_config(modalities, (1024, 2048, 4096)))
    assert torch.equal(checkpoint['state_dict']['backbone.streams.ms.encoder.conv1.weight'], source['conv1.weight'])


@pytest.mark.parametrize('strip', [False, True])
def test_torchvision_and_timm(tmp_path, strip):
    resnet = published.resnet(classes=1000)
    if strip:  # files older than the counter
        resnet = {key: value for key, value in resnet.items() if 'num_batches' not in key}
    cfg = segmentation_config(entries(dict(type='mmpretrain.ResNet', depth=50), (3, ), ('rgb', )), (512, 1024, 2048))
    state = convert.convert(written(tmp_path, resnet), cfg)[0]['state_dict']
    assert torch.equal(state['backbone.streams.rgb.encoder.layer3.5.bn2.running_mean'], resnet['layer3.5.bn2.running_mean'])


def test_what_does_not_fit_is_listed(tmp_path):
    source = published.cmx(classes=7)
    source['backbone.block1.2.norm1.weight'] = torch.ones(32)
    del source['backbone.extra_norm2.bias']
    with pytest.raises(WeightsError) as error:
        convert.convert(written(tmp_path, source), cmx_config())
    text = str(error.value)
    assert '1 missing in the file: backbone.streams.hha.encoder.layers.1.2.bias;' in text
    assert '1 surplus in the file: backbone.streams.rgb.encoder.layers.0.1.2.norm1.weight;' in text
    assert 'conv_seg.weight is (7, 512, 1, 1), the model has (5, 512, 1, 1) (7 classes against 5)' in text and '\n' not in text


def test_what_was_not_in_the_file_is_noted(tmp_path):
    source, cfg = published.mit(), cmx_config()
    checkpoint, _ = convert.convert(written(tmp_path, source), cfg, modality='hha')
    expected = ['backbone.streams.rgb.encoder', 'backbone.interactions', 'backbone.fusion']
    assert checkpoint['meta']['decur']['initialised'] == expected
    again, _ = convert.convert(written(tmp_path, checkpoint, 'again.pth'), cfg)
    assert again['meta']['decur']['initialised'] == expected


def test_another_architecture(tmp_path):
    with pytest.raises(WeightsError, match="holds a ResNet, but the encoder of modality 'rgb' in the config is a MiT: it does not fit"):
        convert.convert(written(tmp_path, published.resnet(classes=1000)), cmx_config())
    with pytest.raises(WeightsError, match='trained on 3 channels, the modality has 2'):
        modalities = entries(dict(type='mmpretrain.ResNet', depth=50), (2, ), ('sar', ))
        convert.convert(written(tmp_path, published.resnet()), segmentation_config(modalities, (512, 1024, 2048)))
    with pytest.raises(WeightsError, match=r'no encoder that is known.*Known: published DeCUR'):
        formats.parse(dict(a=torch.ones(1)), 'x.pth')
    strange = published.cmx()
    strange['backbone.swin.weight'] = torch.ones(1)
    with pytest.raises(WeightsError, match='unknown key backbone.swin.weight'):
        formats.parse(strange)


@pytest.mark.parametrize('spec', ['{}', {'rgb': '{}::1', 'hha': '{}::2'}])
def test_one_config_line_takes_a_published_checkpoint(tmp_path, spec):
    source = published.decur([published.mit(classes=2048), published.mit(classes=2048)], 2048)
    path = str(written(tmp_path, source))
    cfg = cmx_config()
    spec = spec.format(path) if isinstance(spec, str) else {key: value.format(path) for key, value in spec.items()}
    cfg.merge_from_dict({'model.backbone.pretrained': spec})
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    state = model.backbone.streams.state_dict()
    for i, name in enumerate(('rgb', 'hha'), 1):
        assert torch.equal(state[f'{name}.encoder.layers.2.1.1.attn.attn.out_proj.bias'],
                           source['model'][f'module.backbone_{i}.block3.1.attn.proj.bias'])


def test_config_line_with_unclear_files(tmp_path):
    joint = str(written(tmp_path, published.decur([published.mit(), published.mit()], 2048), 'joint.pth'))
    single = str(written(tmp_path, published.mit(), 'single.pth'))
    two = convert.build_model(cmx_config()).backbone
    one = MultimodalBackbone(entries(MIT_B0, (3, ), ('rgb', )))
    with pytest.raises(WeightsError, match='joint.pth::1 or .*joint.pth::2'):
        load_streams(one, joint)
    assert load_streams(one, joint + '::2') == {'rgb': 160}
    with pytest.raises(WeightsError, match='Say which modality'):
        load_streams(two, single)
    assert load_streams(two, dict(hha=single)) == {'hha': 160}
    with pytest.raises(WeightsError, match='by number'):
        load_streams(one, joint + '::sar')


def test_command_line(tmp_path, monkeypatch, capsys):
    config = tmp_path / 'config.py'
    cfg = cmx_config()
    cfg.custom_imports = dict(imports=['decur'], allow_failed_imports=False)
    cfg.dump(config)
    source = written(tmp_path, published.cmx())
    tool = str(ROOT / 'tools/convert_checkpoint.py')
    done = run_tool(tool, source, tmp_path / 'out.safetensors', '--config', config)
    assert 'read as a published CMX segmentor' in done.stdout and 'taken        decode_head' in done.stdout
    assert len(load_file(tmp_path / 'out.safetensors')) == len(convert.build_model(cfg).state_dict())
    assert list(read_metadata({}, tmp_path / 'out.safetensors')['modalities']) == ['rgb', 'hha']  # decur.load needs no config
    bad = published.cmx()
    del bad['decode_head.linear_pred.bias']
    monkeypatch.setattr(sys, 'argv', [tool, str(written(tmp_path, bad, 'bad.pth')), str(tmp_path / 'no.pth'), '--config', str(config)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(tool, run_name='__main__')
    assert end.value.code == 1 and '1 missing in the file: decode_head.conv_seg.bias' in capsys.readouterr().err
    assert not (tmp_path / 'no.pth').exists()


def test_export_by_the_tool_is_the_inverse(tmp_path, monkeypatch, capsys):
    config = tmp_path / 'config.py'
    cfg_of_file = cmx_config()
    cfg_of_file.custom_imports = dict(imports=['decur'], allow_failed_imports=False)
    cfg_of_file.dump(config)
    source, out = published.cmx(), tmp_path / 'hha.safetensors'
    tool = str(ROOT / 'tools/convert_checkpoint.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(written(tmp_path, source)), str(out), '--config', str(config), '--export', 'mit',
                                      '--modality', 'hha'])
    runpy.run_path(tool, run_name='__main__')
    exported = load_file(out)
    monkeypatch.setattr(sys, 'argv', [*sys.argv[:2], str(tmp_path / 'hha.pth'), *sys.argv[3:]])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(tool, run_name='__main__')
    assert end.value.code == 1 and 'call the file hha.safetensors' in capsys.readouterr().err and not (tmp_path / 'hha.pth').exists()
    theirs = {key.replace('backbone.extra_', ''): value for key, value in source.items() if key.startswith('backbone.extra_')}
    assert exported.keys() == theirs.keys() and all(torch.equal(exported[key], value) for key, value in theirs.items())
