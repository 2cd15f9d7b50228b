"""A baseline is DeCUR's config with another objective and, for two of them, another projector: nothing else may differ."""
import pytest
import torch
from helpers import ROOT
from mmengine.config import Config

import decur

CONFIGS = sorted(path.name for path in (ROOT / 'configs' / 'baselines').glob('*.py'))
HEADS = {'simclr': 'MultimodalSimCLRHead', 'clip': 'MultimodalCLIPHead', 'barlow-twins': 'MultimodalBarlowTwinsHead',
         'vicreg': 'MultimodalVICRegHead'}


def test_there_is_one_of_each_for_every_scenario():
    for scenario in ('ssl4eo_s1-s2_r50', 'geonrw_rgb-dem_r50', 'sunrgbd_rgb-hha_r50', 'rooms_rgb-hha_small-resnet'):
        assert {f'{scenario}_{objective}.py' for objective in HEADS} <= set(CONFIGS)
    assert len(CONFIGS) == 4 * len(HEADS)


@pytest.mark.parametrize('name', CONFIGS)
def test_differs_from_decur_in_projector_and_objective_only(name):
    path = ROOT / 'configs' / 'baselines' / name
    assert len(path.read_text().splitlines()) <= 15
    baseline = Config.fromfile(path).to_dict()
    scenario, _, objective = name.removesuffix('.py').rpartition('_')
    parent = f'{"quickstart" if scenario.startswith("rooms") else "decur"}/{scenario}_decur.py'
    decur = Config.fromfile(ROOT / 'configs' / parent).to_dict()
    assert baseline['model'].pop('head')['type'] == HEADS[objective]
    neck = baseline['model'].pop('neck')
    if objective in ('simclr', 'clip'):
        assert (neck['hid_channels'], neck['out_channels'], neck['num_layers']) == (512, 128, 2)
    else:
        assert neck == decur['model']['neck']
    del decur['model']['head'], decur['model']['neck']
    assert baseline == decur


@pytest.mark.parametrize('name', [name for name in CONFIGS if name.startswith('rooms')])
def test_trains(name):
    torch.manual_seed(0)
    model = decur.build_model(ROOT / 'configs' / 'baselines' / name)
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
