"""A baseline is DeCUR's config with another objective and, for two of them, another projector: nothing else may differ."""
import objective_reference
import pytest
import torch
from helpers import ROOT, bound_config
from mmengine.config import Config

import decur

CONFIGS = sorted(path.name for path in (ROOT / 'configs' / 'baselines').glob('*.py'))
HEADS = {'simclr': 'MultimodalSimCLRHead', 'clip': 'MultimodalCLIPHead', 'barlow-twins': 'MultimodalBarlowTwinsHead',
         'vicreg': 'MultimodalVICRegHead'}


def test_there_is_one_of_each_for_every_scenario():
    for scenario in ('ssl4eo_s1-s2_r50', 'geonrw_rgb-dem_r50', 'sunrgbd_rgb-hha_r50'):
        assert {f'{scenario}_{objective}.py' for objective in HEADS} <= set(CONFIGS)
    assert len(CONFIGS) == 3 * len(HEADS)


@pytest.mark.parametrize('name', CONFIGS)
def test_differs_from_decur_in_projector_and_objective_only(name):
    path = ROOT / 'configs' / 'baselines' / name
    assert len(path.read_text().splitlines()) <= 15
    baseline = Config.fromfile(path).to_dict()
    scenario, _, objective = name.removesuffix('.py').rpartition('_')
    decur = Config.fromfile(ROOT / 'configs' / 'decur' / f'{scenario}_decur.py').to_dict()
    assert baseline['model'].pop('head')['type'] == HEADS[objective]
    neck = baseline['model'].pop('neck')
    if objective in ('simclr', 'clip'):
        assert (neck['hid_channels'], neck['out_channels'], neck['num_layers']) == (512, 128, 2)
    else:
        assert neck == decur['model']['neck']
    del decur['model']['head'], decur['model']['neck']
    assert baseline == decur


@pytest.mark.parametrize('stem', HEADS)
def test_it_trains_on_the_published_loss(stem):
    """Loss and gradients of the built model are those of the paper's formula in float64, on the model's own embeddings."""
    torch.manual_seed(0)
    # With the encoders and data of the quickstart, as configs/README.md says to combine them.
    baseline = Config.fromfile(ROOT / 'configs' / 'baselines' / f'sunrgbd_rgb-hha_r50_{stem}.py').model
    model = decur.build_model(bound_config('quickstart/rooms_rgb-hha_small-resnet_decur.py', {
        'model.head': dict(baseline.head, _delete_=True), 'model.neck': dict(baseline.neck, hid_channels=512)}))
    model.init_weights()
    batch = {m: [torch.randn(8, 3, 48, 48) for _ in range(2)] for m in ('rgb', 'hha')}
    kept = {}
    model.neck.register_forward_hook(lambda module, args, out: kept.update(out) or [z.retain_grad() for z in out.values()] and None)
    loss, log = model.parse_losses(model(batch, mode='loss'))
    loss.backward()
    exact = {name: (z.detach().double().requires_grad_(), ) for name, z in kept.items()}
    want = getattr(objective_reference, stem.replace('-', '_'))(exact)
    want.backward()
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-5)
    for name, (z, ) in exact.items():
        torch.testing.assert_close(kept[name].grad.double(), z.grad, rtol=1e-3, atol=1e-5 * float(z.grad.abs().max()))
        first = model.backbone.streams[name].encoder.conv1.weight  # and it reaches the weights, down to the first
        assert all(p.grad.abs().sum() > 0 for p in (first, *model.neck.projectors[name].parameters()) if p.ndim > 1)
    assert any(key.endswith('rgb_hha') for key in log)
