"""The remote-sensing configs build, read the layouts they name, and take a training step (with small encoders)."""
import numpy as np
import pytest
import torch
from helpers import tiny_encoder, write_tif
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch.utils.data import DataLoader

import decur
from decur.datasets import multimodal_collate


def load(path, repository, size=32):
    """A config with small encoders and small views."""
    cfg = Config.fromfile(repository / 'configs' / path)
    for entry in filter(None, cfg.modalities.values()):
        entry.encoder = tiny_encoder()
        entry.augmentation.size = size
    init_default_scope(cfg.default_scope)
    return decur.bind(cfg)


@pytest.mark.parametrize('name', ['s1', 's2', 's1-s2'])
@pytest.mark.parametrize('protocol', ['frozen', 'finetune'])
def test_bigearthnet(repository, sample_data, tmp_path, name, protocol):
    cfg = load(f'classification/bigearthnet_{name}_r50_{protocol}.py', repository)
    for part in (cfg.train_dataloader.dataset, cfg.test_dataloader.dataset):
        part.update(data_root=str(sample_data / 'bigearthnet_v1'), index_file=str(tmp_path / 'index.json'), split=None)
    train, test = DATASETS.build(cfg.train_dataloader.dataset), DATASETS.build(cfg.test_dataloader.dataset)
    batch = multimodal_collate([train[i] for i in range(4)])
    channels = dict(sar=2, optical=13)
    assert {key: tuple(x.shape) for key, x in batch['inputs'].items()} == {
        key: (4, channels[key], 32, 32) for key in (('sar', ) if name == 's1' else ('optical', ) if name == 's2' else channels)}
    model = MODELS.build(cfg.model)
    model.init_weights()
    loss = model.train()(**model.data_preprocessor(batch), mode='loss')['loss']
    loss.backward()
    assert torch.isfinite(loss)
    trained = {key.split('.')[0] for key, p in model.named_parameters() if p.grad is not None}
    assert trained == ({'head'} if protocol == 'frozen' else {'head', 'backbone'})
    predicted = model.eval()(**model.data_preprocessor(multimodal_collate([test[0], test[1]])), mode='predict')
    assert predicted[0].pred_score.shape == (19, )


def test_ssl4eo_pretraining(repository, sample_data):
    cfg = load('decur/ssl4eo_s1-s2_r50_decur.py', repository)
    cfg.train_dataloader.dataset.data_root = str(sample_data / 'ssl4eo_s12_v1')
    cfg.model.neck.update(hid_channels=16, out_channels=16)
    cfg.model.head.common_dim = 12
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    dataset.seed = 0
    model = MODELS.build(cfg.model).train()
    batch = next(iter(DataLoader([dataset[i] for i in range(4)], batch_size=4, collate_fn=multimodal_collate)))
    assert [tuple(x.shape) for x in batch['inputs']['optical']] == [(4, 13, 32, 32)] * 2
    assert batch['inputs']['sar'][0].dtype == torch.uint8
    loss = model(**model.data_preprocessor(batch), mode='loss')['loss']
    assert torch.isfinite(loss)


@pytest.mark.parametrize('name', ['rgb', 'rgb-dem'])
def test_geonrw(repository, tmp_path, name):
    rng = np.random.default_rng(0)
    for city in ('aachen', 'herne'):
        write_tif(tmp_path / city / '1_1_rgb.jp2', rng.integers(0, 256, (1000, 1000, 3), dtype=np.uint8))
        write_tif(tmp_path / city / '1_1_dem.tif', rng.normal(100, 9, (1000, 1000)).astype(np.float32))
        write_tif(tmp_path / city / '1_1_seg.tif', rng.integers(0, 11, (1000, 1000), dtype=np.uint8))
    cfg = load(f'fcn/geonrw_{name}_r50_frozen.py', repository)
    count = len([m for m in cfg.model.backbone.modalities.values() if m])
    cfg.model.decode_head.in_channels = [count * c for c in (16, 32, 64)]
    for part in (cfg.train_dataloader.dataset, cfg.test_dataloader.dataset):
        part.data_root = str(tmp_path)
    train, test = DATASETS.build(cfg.train_dataloader.dataset), DATASETS.build(cfg.test_dataloader.dataset)
    sample = train[0]
    assert tuple(sample['inputs'].shape) == (3 * count, 224, 224) and len(train) == len(test) == 16
    model = MODELS.build(cfg.model).train()
    data = model.data_preprocessor(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]), True)
    assert torch.isfinite(model(**data, mode='loss')['decode.loss_ce'])
    pre = load('decur/geonrw_rgb-dem_r50_decur.py', repository)
    pre.train_dataloader.dataset.data_root = str(tmp_path)
    views = DATASETS.build(pre.train_dataloader.dataset)[3]['inputs']
    assert [tuple(v.shape) for v in views['dem']] == [(3, 32, 32)] * 2 and torch.equal(views['dem'][0][0], views['dem'][0][2])
