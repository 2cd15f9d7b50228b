"""A baseline is DeCUR's config with another objective and, for two of them, another projector: nothing else may differ."""
import objective_reference
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


@pytest.mark.parametrize('stem', HEADS)
def test_it_trains_on_the_published_loss(stem):
    """Loss and gradients of the built model are those of the paper's formula in float64, on the model's own embeddings."""
    cfg = Config.fromfile(ROOT / 'configs' / 'baselines' / next(n for n in CONFIGS if n.startswith(stem) and n.endswith('rooms.py')))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    batch = {m: [torch.randn(8, 3, 48, 48) for _ in range(2)] for m in ('rgb', 'hha')}
    kept = {}
    model.neck.register_forward_hook(lambda module, args, out: kept.update(out) or [z.retain_grad() for z in out.values()] and None)
    loss, log = model.parse_losses(model(batch, mode='loss'))
    loss.backward()
    exact = {name: (z.detach().double().requires_grad_(), ) for name, z in kept.items()}
    want = getattr(objective_reference, stem)(exact)
    want.backward()
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-5)
    for name, (z, ) in exact.items():
        torch.testing.assert_close(kept[name].grad.double(), z.grad, rtol=1e-3, atol=1e-5 * float(z.grad.abs().max()))
        first = model.backbone.streams[name].encoder.conv1.weight  # and it reaches the weights, down to the first
        assert all(p.grad.abs().sum() > 0 for p in (first, *model.neck.projectors[name].parameters()) if p.ndim > 1)
    assert any(key.endswith('rgb_hha') for key in log)
