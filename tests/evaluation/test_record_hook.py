"""What a test records of itself."""
import json
from types import SimpleNamespace

import pytest
import torch
from mmseg.models import SegTTAModel

from decur.evaluation import TestRecordHook
from decur.evaluation.results import read_runs

META = dict(seed=3, decur=dict(modalities=dict(sar=dict(channels=2), optical=dict(channels=3)),
                               started_from=dict(sar=dict(file='pre.pth', objective='DeCURHead'))))


def runner(folder, model):
    return SimpleNamespace(
        model=model, log_dir=str(folder), cfg=SimpleNamespace(filename='configs/a.py', load_from='c.pth'),
        test_dataloader=SimpleNamespace(dataset=range(7)))


def recorded(folder, model, checkpoint):
    folder.mkdir()
    hook, run = TestRecordHook(options={'data_root': 'x'}), runner(folder, model)
    if checkpoint is not None:
        hook.after_load_checkpoint(run, checkpoint)
    hook.after_test_epoch(run, metrics=dict(mIoU=torch.tensor(12.5)))
    return json.loads((folder / 'test.json').read_text())


def test_a_record_says_what_was_tested(tmp_path):
    model = torch.nn.Linear(3, 2)
    record = recorded(tmp_path / 'a', model, dict(meta=META, state_dict=model.state_dict()))
    assert record.pop('time').endswith('Z')
    assert record == dict(
        config='configs/a.py', options=dict(data_root='x'), checkpoint='c.pth', seed=3, samples=7, not_loaded='', trained_on={},
        metrics=dict(mIoU=12.5),
        encoders=dict(sar=dict(file='pre.pth', objective='DeCURHead'), optical=None))
    assert [run.seed for run in read_runs([tmp_path])[0]] == [3]


def with_augmentation(model):
    """The model inside mmseg's test-time augmentation."""
    wrapper = SegTTAModel.__new__(SegTTAModel)
    torch.nn.Module.__init__(wrapper)
    wrapper.module = model
    return wrapper


@pytest.mark.parametrize('wrap', [lambda m: m, with_augmentation])
def test_a_record_says_what_was_not_loaded(tmp_path, wrap):
    model = torch.nn.Linear(3, 2)
    weights = model.state_dict()
    assert recorded(tmp_path / 'whole', wrap(model), dict(state_dict=weights))['not_loaded'] == ''
    assert recorded(tmp_path / 'less', wrap(model), dict(state_dict=dict(weight=weights['weight'])))['not_loaded'] == (
        '1 missing in the file: bias')
    assert 'weight is (2, 4), the model has (2, 3)' in recorded(
        tmp_path / 'shape', wrap(model), dict(state_dict=dict(weights, weight=torch.zeros(2, 4))))['not_loaded']
    assert recorded(tmp_path / 'none', wrap(model), None)['not_loaded'] == 'no checkpoint was loaded'
    runs, left_out = read_runs([tmp_path])
    assert len(runs) == 1 and len(left_out) == 3
