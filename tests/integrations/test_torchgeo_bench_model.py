"""The model for torchgeo-bench: bands by name, what it lacks filled, the same features as decur.load gives."""
import sys

import numpy as np
import pytest
import torch
from helpers import ROOT

import decur
from decur.errors import ConfigError

base = pytest.importorskip('torchgeo_bench.datasets.base')
sys.path.insert(0, str(ROOT / 'integrations' / 'torchgeo_bench'))
from decur_bench import DeCURBench  # noqa: E402

CONFIG = str(ROOT / 'configs/landcover/landcover_s1-s2_small-resnet_decur.py')
NAMES = ('b01', 'b02', 'b03', 'b04', 'b05', 'b06', 'b07', 'b08', 'b8a', 'b09', 'b11', 'b12')
S2 = [base.BandSpec('s2', name, name.upper(), mean=1000, std=600, min=1, max=11000) for name in NAMES]
VV, VH = (base.BandSpec('s1', name, name.upper(), mean=mean, std=5, min=-60, max=20) for name, mean in (('vv', -12.), ('vh', -19.)))


def images(count, bands):
    x = torch.rand(count, len(bands), 40, 40, generator=torch.Generator().manual_seed(0))
    return torch.stack([(x[:, i] - 1) * 25 if spec.sensor == 's1' else x[:, i] * 3000 for i, spec in enumerate(bands)], 1)


@pytest.mark.parametrize('bands, modalities', [(S2, {'optical'}), ([VV, VH], {'sar'}), ([*S2, VH, VV], {'sar', 'optical'}),
                                               (S2[1:4], {'optical'})])
def test_the_sensors_that_are_there(bands, modalities):
    torch.manual_seed(0)
    model = DeCURBench(bands, checkpoint=CONFIG, size=48, normalization='bandspec_zscore').eval()
    assert set(model.index) == modalities
    x = images(2, bands)
    with torch.no_grad():
        features = model.forward_patch_features(x)
    assert features.shape == (2, sum(model.encoder.feature_dims[name] for name in modalities)) and torch.isfinite(features).all()


def test_the_order_of_bands_is_that_of_the_names():
    """The same images in another order of channels give the same features; the same order gives those of decur.load."""
    torch.manual_seed(0)
    bands = [*S2, VV, VH]
    x = images(2, bands)
    order = torch.randperm(len(bands)).tolist()
    torch.manual_seed(1)
    model = DeCURBench(bands, checkpoint=CONFIG, size=None).eval()
    torch.manual_seed(1)
    other = DeCURBench([bands[i] for i in order], checkpoint=CONFIG, size=None).eval()
    assert model.index != other.index
    other.encoder.load_state_dict(model.encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(x), other(x[:, order]), rtol=1e-4, atol=1e-4)
        sar = decur.load(CONFIG, modalities=['sar'])
        sar.backbone.streams['sar'].load_state_dict(model.encoder.backbone.streams['sar'].state_dict())
        chips = torch.stack([sar.transforms['sar'](np.ascontiguousarray(one[12:].permute(1, 2, 0))) for one in x])
        torch.testing.assert_close(model(x)[:, :sar.feature_dims['sar']], sar.extract_feat(dict(sar=chips))['sar'])


def test_exchanged_polarisations_are_found():
    """The brighter channel is VV."""
    swapped = [base.BandSpec('s1', name, name.upper(), mean=mean, std=5, min=-60, max=20) for name, mean in (('vv', -19.), ('vh', -12.))]
    with pytest.warns(UserWarning, match='has exchanged their names'):
        model = DeCURBench(swapped, checkpoint=CONFIG)
    assert model.index['sar'] == [1, 0]
    trusted = DeCURBench(swapped, checkpoint=CONFIG, trust_names=True)
    assert trusted.index['sar'] == [0, 1]


def test_what_cannot_be_is_named():
    aerial = [base.BandSpec('aerial', 'red', 'R', mean=100, std=10, min=0, max=255)]
    with pytest.raises(ConfigError, match="no band of \\['sar', 'optical'\\]; it has .*'aerial', 'red'"):
        DeCURBench(aerial, checkpoint=CONFIG)
    with pytest.raises(ConfigError, match="no band of 'sar'"):
        DeCURBench(S2, checkpoint=CONFIG, modalities=['sar'])
    linear = [base.BandSpec('s1', name, name.upper(), mean=.2, std=.1, min=0, max=5) for name in ('vv', 'vh')]
    with pytest.raises(ConfigError, match='Sentinel-1 in dB'):
        DeCURBench(linear, checkpoint=CONFIG)
