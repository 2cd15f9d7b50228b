"""What a checkpoint says of itself never becomes anything outside a closed list."""
import json
import resource

import pytest
import torch
from helpers import entries
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader

import decur
from decur.errors import WeightsError
from decur.models.streams.resnet import SmallResNet
from decur.weights import save_file
from decur.weights.convert import convert
from decur.weights.description import check_description
from decur.weights.metadata import describe, describe_config


def description(**changes):
    """A description of two small encoders, changed at dotted places."""
    found = describe(dict(backbone=dict(type='MultimodalBackbone', modalities=entries())))
    for place, value in changes.items():
        *way, last = place.split('__')
        inner = found
        for key in way:
            inner = inner[key]
        inner[last] = value
    return json.loads(json.dumps(found))


def attacks(command):
    call = dict(type='os.system', command=command)
    return {
        'radiometry': dict(modalities__sar__radiometry=[call]),
        'radiometry, second': dict(modalities__sar__radiometry=[dict(type='RemoveOffset'), call]),
        'encoder': dict(modalities__sar__encoder=call),
        'scope': dict(modalities__sar__encoder=dict(type='mmpretrain.os.system', command=command)),
        'attention': dict(modalities__sar__attention={'0': call}),
        'interactions': dict(interactions={'0': call}),
        'norm': dict(modalities__sar__encoder__norm_cfg=call),
        'init': dict(modalities__sar__encoder__init_cfg=[call]),
        'pretrained': dict(modalities__sar__encoder__init_cfg=dict(type='Pretrained', checkpoint='evil.pth')),
        'another model': dict(modalities__sar__encoder=dict(type='mmpretrain.TIMMBackbone', checkpoint_path='evil.pth')),
        'no class': dict(modalities__sar__encoder=['os.system']),
        'nested': dict(modalities__sar__encoder__arch=dict(inner=[call])),
        'huge': dict(modalities__sar__channels=10**9),
        'huge width': dict(modalities__sar__encoder__base_channels=10**9),
        'argument': dict(modalities__sar__radiometry=[dict(type='RemoveOffset', shell='id')]),
        'text for a number': dict(modalities__sar__mean='-12'),
        'not finite': dict(modalities__sar__std=[float('inf')]),
    }


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('name', attacks(''))
def test_nothing_outside_the_list_is_built(tmp_path, name, suffix):
    trap = tmp_path / 'ran'
    found = description(**attacks(f'touch {trap}')[name])
    weights = {'backbone.streams.sar.encoder.conv1.weight': torch.zeros(8, 2, 3, 3)}
    path = tmp_path / f'file{suffix}'
    if suffix == '.pth':
        save_file(dict(state_dict=weights, meta=dict(decur=found)), path)
    else:
        save_file(weights, path, metadata=dict(decur=json.dumps(found)))
    with pytest.raises(WeightsError, match='description') as caught:
        decur.load(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    assert not trap.exists()


RDA = dict(type='RDA', num_heads=4, groups=2, stride=2, kernel_size=3)
VIT = dict(type='mmpretrain.VisionTransformer')


@pytest.fixture(scope='module')
def honest():
    """Weights of the two encoders of :func:`description`."""
    backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=entries()))
    return {f'backbone.{key}': value for key, value in backbone.state_dict().items()}


def written(tmp_path, weights, found):
    return save_file(dict(state_dict=weights, meta=dict(decur=found)), tmp_path / 'file.pth')


@pytest.mark.parametrize('changes', [
    dict(modalities__sar__encoder__base_channels=8192),
    dict(modalities__sar__encoder=dict(VIT, arch=dict(embed_dims=65536, num_layers=60000, num_heads=1, feedforward_channels=65536))),
    dict(modalities__sar__encoder=dict(VIT, arch='deit-small', img_size=65536, patch_size=1)),
    dict(modalities__sar__encoder=dict(type='DecurMixVisionTransformer', arch='b0', embed_dims=65536)),
    dict(modalities__sar__attention={'0': dict(RDA, map_size=60000)}),
    dict(interactions={'0': dict(type='CrossDA', num_heads=1, groups=1, stride=1, kernel_size=65535, map_size=3)}),
    dict(modalities={f'm{i}': entries()['sar'] for i in range(300)}),
])
def test_a_model_that_is_larger_than_its_file_takes_no_memory(tmp_path, honest, changes):
    """Some of these would take terabytes; they are refused before anything is allocated."""
    path = written(tmp_path, honest, description(**changes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match='file.pth: refused, because its description claims more weights than the file has'):
        decur.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize('changes, says', [
    (dict(modalities__sar__encoder__depth=51), 'invalid depth 51'),
    (dict(modalities__sar__encoder__base_channels=-8), 'cannot be built'),
    (dict(modalities__sar__encoder__strides=[1] * 30), 'cannot be built'),
    (dict(modalities__sar__encoder__base_channels='8'), 'cannot be built'),
    (dict(modalities__sar__encoder__out_indices=[9]), 'cannot be built'),
    (dict(modalities__sar__encoder=dict(VIT, arch='nothing')), 'cannot be built'),
    (dict(modalities__sar__attention={'99': dict(RDA, map_size=6)}), 'attention after stage 99'),
    (dict(modalities__sar__encoder__stem_channels=16), 'does not fit .* another shape: streams.sar.encoder.conv1.weight'),
    (dict(modalities__sar__feature_channels=16), 'missing in the file: streams.sar.head.weight'),
    (dict(modalities__sar__encoder=dict(type='mmcv.ResNet', depth=18)), "names 'mmcv.ResNet'"),
    (dict(modalities__sar__radiometry=[dict(type='InsertEmptyBand', index='a')]), "index the value 'a', which is no int"),
    (dict(modalities__sar__radiometry=[dict(type='PercentilesToEightBit', low=99, high=1)]), 'low < high'),
    (dict(modalities__sar__mean=[1.] * 7), 'must be one number or 2'),
    (dict(modalities__sar__std=[5., 0.]), 'above 0'),
    (dict(modalities__sar__channel_order='xyz'), 'channel_order'),
    ({'modalities': {'../sar': entries()['sar']}}, 'no named entry'),
    ({'modalities': {'a/b': entries()['sar']}}, 'no named entry'),
])
def test_what_cannot_be_built_is_one_line_that_names_the_file(tmp_path, honest, changes, says):
    path = written(tmp_path, honest, description(**changes))
    with pytest.raises(WeightsError, match=says) as info:
        decur.load(path)
    assert str(path) in str(info.value) and '\n' not in str(info.value)
    assert 'config=...' in str(info.value)


def test_an_encoder_of_ones_own_needs_its_config(tmp_path):
    """A checkpoint may not name it; a config, which is code, may, and everything that takes weights works with that."""
    @MODELS.register_module(force=True)
    class OwnResNet(SmallResNet):
        """Registered by a user."""

    modalities = entries()
    for entry in modalities.values():
        entry['encoder'] = dict(entry['encoder'], type='OwnResNet')
    cfg = Config(dict(model=dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=modalities))))
    backbone = MODELS.build(cfg.model.backbone)
    weights = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    path = written(tmp_path, weights, dict(describe(cfg.model), objective='DeCURHead'))
    with pytest.raises(WeightsError, match="names 'OwnResNet' as modalities.sar.encoder.*Name a config that you trust instead"):
        decur.load(path)
    loaded = decur.load(path, config=cfg)
    other = MODELS.build(dict(cfg.model.backbone, pretrained=str(path)))
    other.init_weights()
    converted, _ = convert(path, cfg)
    for key, value in weights.items():
        assert torch.equal(loaded.state_dict()[key], value) and torch.equal(converted['state_dict'][key], value)
        assert torch.equal(other.state_dict()[key.removeprefix('backbone.')], value)
    assert other.started_from['sar']['objective'] == 'DeCURHead'


class Shadowed(ConfigDict):
    """Pickled as a ConfigDict whose instance hides the methods of dict."""

    def __reduce_ex__(self, protocol):
        return ConfigDict, (dict(self), ), dict(get='no method', items='no method', keys=3)


@pytest.mark.parametrize('content', [
    lambda w, d: dict(state_dict=w, meta=Shadowed(decur=d)),
    lambda w, d: dict(state_dict=w, meta=dict(decur=Shadowed(d))),
    lambda w, d: Shadowed(state_dict=w, meta=dict(decur=d)),
])
def test_dicts_with_methods_of_a_file_s_own(tmp_path, honest, content):
    path = tmp_path / 'file.pth'
    torch.save(content(honest, description()), path)
    try:
        found = decur.load(path).state_dict()
    except WeightsError as error:
        assert str(path) in str(error)
    else:
        assert all(torch.equal(found[key], value) for key, value in honest.items())


@pytest.mark.parametrize('text', ['{', '[1]', '"x"', '[' * 100000, '{"modalities": 1}', '1' * 5000, 'NaN',
                                  '{"modalities": {"sar": {"channels": 1e400}}}'])
def test_metadata_of_safetensors_that_is_no_description(tmp_path, honest, text):
    path = save_file(honest, tmp_path / 'file.safetensors', dict(decur=text))
    with pytest.raises(WeightsError, match='file.safetensors') as info:
        decur.load(path)
    assert '\n' not in str(info.value)


@pytest.mark.parametrize('notes', [dict(objective=7), dict(initialised='backbone'), dict(initialised=[1])])
def test_notes_of_another_kind(tmp_path, honest, notes):
    path = written(tmp_path, honest, dict(description(), **notes))
    with pytest.raises(WeightsError, match='file.pth'):
        MODELS.build(dict(type='MultimodalBackbone', modalities=entries(), pretrained=str(path))).init_weights()
    with pytest.raises(WeightsError, match='file.pth'):
        decur.load(path)


def test_what_configs_of_the_project_say_is_taken():
    """Every shipped pretraining config's description passes, with attention, interactions and radiometry."""
    from pathlib import Path

    from mmengine.config import Config
    for path in sorted((Path(__file__).parents[2] / 'configs' / 'decur').glob('*.py')):
        found = describe_config(Config.fromfile(path))
        assert check_description(found, path)['modalities'].keys() == found['modalities'].keys()


@pytest.mark.parametrize('scheme', ['open-mmlab://evil', 'openmmlab://evil', 'mmcls://evil'])
def test_names_of_openmmlab_are_not_unpickled(tmp_path, monkeypatch, scheme):
    """A name that a table of the user's maps to a local pickle: MMEngine's own loader falls back to unpickling it."""
    import pickle

    class Trap:
        def __reduce__(self):
            import os
            return os.system, (f'touch {tmp_path / "ran"}', )

    (tmp_path / 'evil.pth').write_bytes(pickle.dumps(dict(state_dict=Trap())))
    (tmp_path / 'open_mmlab.json').write_text(json.dumps(dict(evil='evil.pth')))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    with pytest.raises(WeightsError, match='evil'):
        CheckpointLoader.load_checkpoint(scheme, 'cpu')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('address', ['s3://bucket/file.pth', 'petrel://bucket/file.pth', 'pavi://model'])
def test_other_addresses_are_refused(address):
    with pytest.raises(WeightsError, match='not read'):
        CheckpointLoader.load_checkpoint(address, 'cpu')
