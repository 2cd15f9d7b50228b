"""The configs for Sentinel-1/2 sites: trained and tested on such files, and a third modality by a child config alone."""
import json

import numpy as np
import pytest
from helpers import ROOT, bound_config, run_tool, write_tif

LIGHT = [
    'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'train_dataloader.batch_size=4',
    'train_dataloader.pin_memory=False'
]


@pytest.fixture(scope='module')
def sites(tmp_path_factory):
    """Two sites in the layout of the configs, one of them with the offset of processing baseline 04.00."""
    root = tmp_path_factory.mktemp('sites')
    rng = np.random.default_rng(0)
    for name, offset in (('a', 0), ('b', 1000)):
        optical = rng.integers(200, 4000, (224, 224, 13))
        optical[..., 10] = rng.integers(0, 40, (224, 224))
        write_tif(root / 'S2L1C' / f'{name}.tif', (optical + offset).astype(np.int16))
        write_tif(root / 'S1RTC' / f'{name}.tif', rng.normal(-15, 4, (224, 224, 2)))
        write_tif(root / 'DEM' / f'{name}.tif', rng.integers(0, 500, (224, 224)).astype(np.int16))
        write_tif(root / 'LULC' / f'{name}.tif', rng.integers(1, 10, (224, 224)).astype(np.uint8))
    return root


def test_the_offset_is_removed_where_band_10_shows_it(sites):
    import decur  # noqa: F401
    from decur.datasets import PairedRasterDataset
    cfg = bound_config('sites/sites_s1-s2_small-resnet_decur.py').train_dataloader.dataset
    cfg.pop('type')
    cfg.update(data_root=str(sites), pipeline=[dict(type='LoadModalities'), dict(type='PackModalities')])
    means = {}
    for item in PairedRasterDataset(**cfg):
        site = item['data_samples'].sample_id.split('@')[0]
        means.setdefault(site, []).append(item['inputs']['optical'].float().mean().item())
    assert abs(np.mean(means['a']) - np.mean(means['b'])) < 50
    # Windows of the training block end before the test block begins: columns 0..156 of 224.
    assert all(int(s['sample_id'].split(',')[1]) + 64 <= 157 for s in PairedRasterDataset(**cfg).load_data_list())


@pytest.mark.slow
def test_pretrain_transfer_and_test_on_sites(sites, tmp_path):
    run_tool('tools/train.py', 'configs/sites/sites_s1-s2_small-resnet_decur.py', '--work-dir', tmp_path / 'decur', '--cfg-options', *LIGHT,
             f'train_dataloader.dataset.data_root={sites}', 'train_dataloader.dataset.num_samples=8', 'train_cfg.max_epochs=1')
    data = [f'{loader}_dataloader.dataset.data_root={sites}' for loader in ('train', 'test')]
    config = 'configs/sites/sites_s1-s2_small-resnet_frozen.py'
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'fcn', '--cfg-options', *LIGHT, *data, 'train_cfg.max_iters=2',
             'default_hooks.checkpoint.interval=2', f'model.backbone.pretrained={tmp_path / "decur" / "epoch_1.pth"}')
    run_tool('tools/test.py', config, tmp_path / 'fcn' / 'iter_2.pth', '--work-dir', tmp_path / 'fcn', '--out', tmp_path / 'm.json',
             '--cfg-options', 'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False', *data)
    assert 0 <= json.loads((tmp_path / 'm.json').read_text())['mIoU'] <= 100


def test_a_third_modality_is_a_child_config_of_at_most_12_lines(sites, tmp_path):
    config = 'configs/sites/sites_s1-s2-dem_small-resnet_decur.py'
    assert len((ROOT / config).read_text().splitlines()) <= 12
    run_tool('tools/train.py', config, '--work-dir', tmp_path, '--cfg-options', *LIGHT, f'train_dataloader.dataset.data_root={sites}',
             'train_dataloader.dataset.num_samples=4', 'train_cfg.max_epochs=1', 'default_hooks.logger.interval=1')
    record = next(json.loads(line) for path in tmp_path.glob('*/vis_data/scalars.json') for line in path.read_text().splitlines())
    assert {'intra_dem', 'common_sar_dem', 'common_optical_dem'} <= set(record)
