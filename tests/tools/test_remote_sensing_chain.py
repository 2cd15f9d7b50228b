"""From generated data to tables, by the documented commands: generate, prepare, pretrain, frozen and fine-tuned, test, kNN, table."""
import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from helpers import ROOT, assert_started_from, counted_figures, run_tool
from mmengine.registry import DATASETS

from decur.apis import load_model
from decur.binding import bind

CONFIGS = ROOT / 'configs' / 'landcover'
SMALL = ('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'train_dataloader.pin_memory=False',
         'train_dataloader.batch_size=4')


def train(config, folder, data, epochs, *options):
    run_tool('tools/train.py', CONFIGS / config, '--work-dir', folder, '--cfg-options', f'train_dataloader.dataset.data_root={data}',
             f'train_cfg.max_epochs={epochs}', f'default_hooks.checkpoint.interval={epochs}', *SMALL, *options)
    return folder / f'epoch_{epochs}.pth'


def reading(data, *parts):
    return ['--cfg-options', *(f'{part}_dataloader.dataset.data_root={data}' for part in parts), 'test_dataloader.num_workers=0',
            'test_dataloader.persistent_workers=False', 'test_dataloader.pin_memory=False']


def scores(config, checkpoint, data, *options, tool='test'):
    out = checkpoint.parent / 'metrics.json'
    run_tool(f'tools/{tool}.py', CONFIGS / config, checkpoint, '--work-dir', checkpoint.parent, '--out', out, *options,
             *reading(data, 'test'))
    return json.loads(out.read_text())


def geonrw_label(data, stem):
    """Classes from 0 of one of GeoNRW's label files, whose 0 is background and does not count."""
    path, = data.rglob(stem.removesuffix('_rgb') + '_seg.tif')
    with rasterio.open(path) as file:
        return file.read(1).astype(np.uint8) - np.uint8(1)


def counted(config, checkpoint, data):
    """mAP and F1 in percent, from the logits of one test sample after the other, by their definitions."""
    model, cfg = load_model(CONFIGS / config, checkpoint, options={'test_dataloader.dataset.data_root': str(data)})
    dataset = DATASETS.build(bind(cfg).test_dataloader.dataset)
    scores, truth = [], []
    for sample in dataset:
        inputs = {name: x[None].float() for name, x in sample['inputs'].items()}
        with torch.no_grad():
            logits = model(**model.data_preprocessor(dict(inputs=inputs)))
        scores.append(1 / (1 + np.exp(-logits[0].double().numpy())))
        truth.append(sample['data_samples'].gt_score.numpy() > 0)
    scores, truth = np.array(scores), np.array(truth)

    def average_precision(score, positive):
        ranked = positive[np.argsort(-score, kind='stable')]
        return np.mean([ranked[:i + 1].mean() for i in np.flatnonzero(ranked)])

    def f1(predicted, positive):
        return 2 * np.sum(predicted & positive) / max(np.sum(predicted) + np.sum(positive), 1)

    occurring = np.flatnonzero(truth.any(0))
    return dict(mAP_micro=100 * average_precision(scores.ravel(), truth.ravel()),
                mAP_macro=100 * np.mean([average_precision(scores[:, c], truth[:, c]) for c in occurring]),
                F1_micro=100 * f1(scores >= 0.5, truth))


def table(folder, config):
    """The rows of a config in the table of everything below a folder."""
    run_tool('tools/table.py', folder, '--out', folder / 'table.csv')
    return [row for row in csv.DictReader((folder / 'table.csv').open()) if row['config'] == config]


@pytest.mark.slow
def test_sar_optical(tmp_path):
    generate = 'tools/generate_dataset.py', 'landcover'
    run_tool(*generate, tmp_path / 'ssl4eo', '--layout', 'ssl4eo', '--num-train', 4, '--size', 96)
    run_tool(*generate, tmp_path / 'bigearthnet', '--layout', 'bigearthnet', '--num-train', 8, '--num-test', 6, '--size', 96)
    run_tool('tools/prepare_dataset.py', 'ssl4eo', tmp_path / 'ssl4eo', tmp_path / 'store', '--products', 's1', 's2c')
    weights = train('landcover_s1-s2_small-resnet_decur.py', tmp_path / 'decur', tmp_path / 'store', 1)
    config = 'landcover_s1-s2_small-resnet_frozen.py'
    for protocol in ('frozen', 'finetune'):
        checkpoint = train(config, tmp_path / protocol, tmp_path / 'bigearthnet', 1, f'model.backbone.pretrained={weights}',
                           f'model.backbone.frozen={protocol == "frozen"}')
        assert_started_from(checkpoint, weights, frozen=protocol == 'frozen')
        found = scores(config, checkpoint, tmp_path / 'bigearthnet')
        expected = counted(config, checkpoint, tmp_path / 'bigearthnet')
        assert {key: found[f'multi-label/{key}'] for key in expected} == pytest.approx(expected, abs=1e-3)
        row, = table(tmp_path, Path(config).stem)
        assert (row['pretraining'], row['runs'], row['seeds']) == ('DeCUR', '1', '0')
        assert float(row['mean']) == pytest.approx(found['multi-label/mAP_micro'], abs=1e-3)
    # A modality that is missing is replaced by its mean training feature; with both, the figures are those of the test.
    missing = scores(config, checkpoint, tmp_path / 'bigearthnet', tool='test_modalities')
    assert list(missing) == ['sar+optical', 'sar', 'optical'] and missing['sar+optical'] == pytest.approx(found)
    assert missing['sar'] != missing['optical']
    neighbours = {}
    for name, start in (('random', []), ('decur', [weights])):
        run_tool('tools/knn.py', CONFIGS / config, *start, '-k', 3, '--out', tmp_path / 'knn.json',
                 *reading(tmp_path / 'bigearthnet', 'train', 'test'))
        neighbours[name] = json.loads((tmp_path / 'knn.json').read_text())
        assert list(neighbours[name]) == ['sar+optical', 'sar', 'optical']
    assert neighbours['random'] != neighbours['decur']
    # Figures of fewer samples than the data have say so; how each tensor was initialised is not said.
    shutil.rmtree(next((tmp_path / 'bigearthnet' / 'BigEarthNet-S1-v1.0').iterdir()))
    printed = run_tool('tools/knn.py', CONFIGS / config, '-k', 3, *reading(tmp_path / 'bigearthnet', 'train', 'test'),
                       'train_dataloader.dataset.missing=skip', 'test_dataloader.dataset.missing=skip')
    printed = printed.stdout + printed.stderr
    assert 'left out 1 of' in printed and 'init_weights' not in printed


@pytest.mark.slow
def test_rgb_dem(tmp_path):
    data = tmp_path / 'geonrw'
    run_tool('tools/generate_dataset.py', 'landcover', data, '--layout', 'geonrw', '--num-train', 8, '--num-test', 3, '--size', 128)
    weights = train('landcover_rgb-dem_small-resnet_decur.py', tmp_path / 'decur', data, 1)
    config = 'landcover_rgb-dem_small-resnet_frozen.py'
    for protocol in ('frozen', 'finetune'):
        checkpoint = train(config, tmp_path / protocol, data, 1, 'train_dataloader.dataset.num_samples=8',
                           f'model.backbone.pretrained={weights}', f'model.backbone.frozen={protocol == "frozen"}')
        assert_started_from(checkpoint, weights, frozen=protocol == 'frozen')
        found = scores(config, checkpoint, data, '--show-dir', checkpoint.parent / 'show')
        expected = counted_figures(checkpoint.parent / 'show' / 'predictions', partial(geonrw_label, data), 10)
        assert {key: found[key] for key in expected} == pytest.approx(expected, abs=0.006)
        row, = table(tmp_path, Path(config).stem)
        assert (row['pretraining'], row['figure'], row['runs']) == ('DeCUR', 'mIoU', '1')
