"""The encoder for PANGAEA: it undoes the data set's standardisation and gives the maps that decur.load gives."""
import logging
import sys

import numpy as np
import pytest
import torch
from helpers import ROOT

from decur.errors import ConfigError

pytest.importorskip('pangaea.encoders.base')
sys.path.insert(0, str(ROOT / 'integrations' / 'pangaea'))
from decur_encoder import DeCUREncoder  # noqa: E402

CONFIG = str(ROOT / 'configs/landcover/landcover_s1-s2_small-resnet_decur.py')
BANDS = dict(optical=['B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12'], sar=['VV', 'VH'])
DATA = dict(optical=['B2', 'B3', 'B4', 'B8'], sar=['VH', 'VV'])
STATISTICS = dict(data_mean=dict(optical=[900., 1000., 1100., 2500.], sar=[-19., -12.]),
                  data_std=dict(optical=[500., 600., 700., 900.], sar=[5., 6.]))


def standardised(key, raw):
    """What PANGAEA hands over: the data set's bands standardised, in the order of the encoder's, and 0 for those that are not there."""
    out = torch.zeros(len(raw), len(BANDS[key]), *raw.shape[2:])
    for i, band in enumerate(DATA[key]):
        out[:, BANDS[key].index(band)] = (raw[:, i] - STATISTICS['data_mean'][key][i]) / STATISTICS['data_std'][key][i]
    return out


def test_maps_are_those_of_the_raw_images():
    torch.manual_seed(0)
    encoder = DeCUREncoder(CONFIG, BANDS, 64, DATA, **STATISTICS, output_dim=[1], download_url=None).eval()
    encoder.load_encoder_weights(logging.getLogger())
    raw = dict(optical=torch.rand(2, 4, 64, 64) * 3000, sar=torch.rand(2, 2, 64, 64) * -25)
    with torch.no_grad():
        maps = encoder({key: standardised(key, x)[:, :, None] for key, x in raw.items()})
    assert [m.shape[1] for m in maps] == encoder.output_dim and len(maps) == 4 and encoder.pyramid_output
    inputs = {}
    for key, x in raw.items():
        order = [DATA[key].index(band) for band in BANDS[key] if band in DATA[key]]
        transform = encoder.encoder.transforms[key]
        inputs[key] = torch.stack([transform(np.ascontiguousarray(one[order].permute(1, 2, 0))) for one in x])
    with torch.no_grad():
        want = encoder.encoder.extract_maps(inputs)
    for i, found in enumerate(maps):
        torch.testing.assert_close(found, torch.cat([want['optical'][i], want['sar'][i]] if list(want)[0] == 'optical'
                                                    else [want['sar'][i], want['optical'][i]], 1), rtol=1e-2, atol=1e-2)


def test_a_frozen_encoder_stays_as_it_is():
    """PANGAEA freezes the parameters, and sets the whole model to training mode."""
    encoder = DeCUREncoder(CONFIG, BANDS, 64, DATA, **STATISTICS)
    encoder.train()
    assert encoder.encoder.backbone.training
    encoder.requires_grad_(False).train()
    assert encoder.training and not any(module.training for module in encoder.encoder.modules())
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder({key: standardised(key, torch.rand(2, len(DATA[key]), 64, 64) * 100) for key in DATA})
    assert all(value.equal(before[key]) for key, value in encoder.state_dict().items())


def test_a_data_set_without_its_bands_is_named():
    with pytest.raises(ConfigError, match='the data set has none of the bands'):
        DeCUREncoder(CONFIG, BANDS, 64, dict(optical=['R', 'G', 'B']), dict(optical=[0, 0, 0]), dict(optical=[1, 1, 1]))
