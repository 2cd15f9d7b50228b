"""The generated data for the two benchmarks: their files, as the benchmarks read them."""
import importlib.util
import sys

import numpy as np
import pytest
import rasterio
from helpers import ROOT

from decur.errors import ConfigError


def load(path):
    spec = importlib.util.spec_from_file_location(path.replace('/', '_'), ROOT / 'integrations' / f'{path}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sen1floods11(tmp_path):
    module = load('pangaea/example_data')
    module.SPLITS = dict(train=1, valid=1, test=1)
    module.write_sen1floods11(tmp_path, size=50)
    root = tmp_path / 'v1.1'
    rows = [path.read_text().strip().split(',') for path in sorted((root / 'splits/flood_handlabeled').glob('*.csv'))]
    assert len(rows) == len({row[0] for row in rows}) == 3
    for radar, label in rows:
        arrays = []
        for folder, name in (('S1Hand', radar), ('S2Hand', radar.replace('S1Hand', 'S2Hand')), ('LabelHand', label)):
            with rasterio.open(root / 'data/flood_events/HandLabeled' / folder / name) as file:
                arrays.append(file.read())
        s1, s2, water = arrays
        assert [x.shape for x in arrays] == [(2, 50, 50), (13, 50, 50), (1, 50, 50)]
        assert s1.dtype == np.float32 and s1[0].mean() > s1[1].mean() and -40 < s1.min() < s1.max() < 20
        assert set(np.unique(water)) == {0, 1} and s2[7][water[0] == 1].mean() < s2[7][water[0] == 0].mean()  # water is dark in B8
    with pytest.raises(ConfigError, match='exists; remove it'):
        module.write_sen1floods11(tmp_path)


def test_pangaea_on_a_cpu_is_its_own_program_with_five_changes():
    module = load('pangaea/run_on_cpu')
    source = '\n'.join(f'x({old})' for old in module.CHANGES)
    found = module.changed(source)
    assert 'cuda' not in found and 'nccl' not in found and found.count('None') == 2
    with pytest.raises(SystemExit, match='it is another version'):
        module.changed(source.replace('nccl', 'gloo'))


def test_benv2(tmp_path):
    for package in ('geobench_v2', 'tacotoolbox'):
        pytest.importorskip(package)
    import torch
    from geobench_v2.datasets import GeoBenchBENV2
    path = load('torchgeo_bench/example_data').write_benv2(tmp_path, 1, 1, 1, size=48)
    data = GeoBenchBENV2(tmp_path, 'train', band_order=dict(s2=['B04'], s1=['VV', 'VH']), data_normalizer=torch.nn.Identity)
    sample = data[0]
    assert path.is_file() and len(data) == 1 and sample['image_s1'].shape == (2, 48, 48) and sample['label'].sum() >= 1
    assert sample['image_s1'][0].mean() < sample['image_s1'][1].mean()  # what is called VV there is VH, as in the real data


def test_without_the_benchmark_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'geobench_v2', None)
    with pytest.raises(ConfigError, match='pip install geobenchv2 "tacotoolbox<0.6"'):
        load('torchgeo_bench/example_data').write_benv2(tmp_path / 'new')
    assert not (tmp_path / 'new').exists()
