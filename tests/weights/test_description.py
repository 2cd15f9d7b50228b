"""What a checkpoint says of itself never becomes anything outside a closed list."""
import json

import pytest
import torch
from helpers import entries
from mmengine.runner import CheckpointLoader

import decur
from decur.errors import WeightsError
from decur.weights import save_file
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
