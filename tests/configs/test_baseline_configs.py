"""A baseline is DeCUR's config with another objective and, for two of them, another projector: nothing else may differ."""
import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS

CONFIGS = sorted(path.name for path in (ROOT / 'configs' / 'baselines').glob('*.py'))
HEADS = dict(
    simclr='MultimodalSimCLRHead', clip='MultimodalCLIPHead', barlow_twins='MultimodalBarlowTwinsHead', vicreg='MultimodalVICRegHead')


def test_there_is_one_of_each_for_every_data_set():
    assert {name.rpartition('_')[2] for name in CONFIGS} >= {'sunrgbd.py', 'rooms.py'}
    for stem in HEADS:
        assert sum(name.startswith(stem) for name in CONFIGS) == len(CONFIGS) // len(HEADS)


@pytest.mark.parametrize('name', CONFIGS)
def test_differs_from_decur_in_projector_and_objective_only(name):
    path = ROOT / 'configs' / 'baselines' / name
    assert len(path.read_text().splitlines()) <= 15
    baseline = Config.fromfile(path).to_dict()
    parent = 'quickstart/decur_rooms.py' if name.endswith('rooms.py') else 'decur/decur_' + next(
        name.removeprefix(f'{stem}_') for stem in HEADS if name.startswith(stem))
    decur = Config.fromfile(ROOT / 'configs' / parent).to_dict()
    assert baseline['model'].pop('head')['type'] == next(head for stem, head in HEADS.items() if name.startswith(stem))
    neck = baseline['model'].pop('neck')
    if name.startswith(('simclr', 'clip')):
        assert (neck['hid_channels'], neck['out_channels'], neck['num_layers']) == (512, 128, 2)
    else:
        assert neck == decur['model']['neck']
    del decur['model']['head'], decur['model']['neck']
    assert baseline == decur


@pytest.mark.parametrize('name', [name for name in CONFIGS if name.endswith('rooms.py')])
def test_trains(name):
    cfg = Config.fromfile(ROOT / 'configs' / 'baselines' / name)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch = {m: [torch.randn(8, 3, 48, 48) for _ in range(2)] for m in ('rgb', 'hha')}
    values = []
    for _ in range(6):
        loss, log = model.parse_losses(model(batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss))
    assert min(values[1:]) < values[0] and all(value == value for value in values)
    assert any(key.endswith('rgb_hha') for key in log)
