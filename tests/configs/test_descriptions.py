"""What a checkpoint of a config says of itself brings an image to where the config's own data set and preprocessor bring it."""
import json

import numpy as np
import pytest
import torch
from helpers import ROOT, tiny_encoder
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

import decur
from decur.apis.load import LoadedEncoder
from decur.modalities import split
from decur.weights.description import check_description
from decur.weights.metadata import describe_config

CONFIGS = sorted(str(path.relative_to(ROOT / 'configs')) for path in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in path.parts and path.name != 'study.py')


def seen_in_training(cfg, raw):
    """What the encoders of a config get to see of images as a reader gives them: its own data set and preprocessor, built."""
    bound = decur.bind(cfg)
    init_default_scope(bound.default_scope)
    entries = bound.model.backbone.modalities
    dataset_cfg = bound.train_dataloader.dataset
    if 'num_images' not in dataset_cfg:  # the data are not at hand, and not needed
        dataset_cfg.lazy_init = True
    dataset = DATASETS.build(dataset_cfg)
    load = next(step for step in dataset.pipeline.transforms if type(step).__name__ == 'LoadModalities')
    for loader in load.loaders.values():
        loader.reader = lambda source: raw[source].copy()
    images = load.transform(dict(sources={name: name for name in raw}))['images']
    tensors = {name: torch.from_numpy(image.astype(np.float32).transpose(2, 0, 1)) for name, image in images.items()}
    preprocessor = MODELS.build(bound.model.get('data_preprocessor') or dict(type='MultimodalDataPreprocessor', modalities=entries))
    if hasattr(preprocessor, 'orders'):
        return {name: preprocessor.normalize(name, x[None])[0] for name, x in tensors.items()}
    preprocessor.pad_around, preprocessor.test_cfg = False, None
    whole = preprocessor(dict(inputs=[torch.cat([tensors[name] for name in entries])]), training=False)['inputs']
    return {name: x[0] for name, x in split(whole, entries).items()}


@pytest.mark.parametrize('path', CONFIGS)
def test_the_description_is_what_the_run_does(path):
    cfg = Config.fromfile(ROOT / 'configs' / path)
    described = check_description(json.loads(json.dumps(describe_config(cfg))), path)
    rng = np.random.default_rng(0)
    raw = {}
    for name, entry in cfg.modalities.items():
        if entry is not None:
            bands = len(((entry.get('reader') or {}).get('bands')) or range(entry.channels))
            if bands == 2:
                raw[name] = rng.uniform(-30, 5, (8, 8, bands)).astype(np.float32)
            else:
                raw[name] = rng.integers(0, 256 if bands == 3 else 4000, (8, 8, bands)).astype(np.uint8 if bands == 3 else np.uint16)
            if bands == 13:  # cirrus is dark, which tells images with an offset of 1000 from others
                raw[name][..., 10] %= 40
                raw[name] += 1000 * ('v11_' in path)
    expected = seen_in_training(cfg, raw)
    assert list(described['modalities']) == list(expected)
    loaded = LoadedEncoder({name: dict(entry, encoder=tiny_encoder(), attention=None, feature_channels=None)
                            for name, entry in described['modalities'].items()})
    for name, x in expected.items():
        assert torch.allclose(loaded.transforms[name](raw[name]), x, atol=1e-4), name
        # The encoder itself, which is replaced above, because large ones are slow to build.
        said, meant = (dict(entry['encoder']) for entry in (described['modalities'][name], cfg.modalities[name]))
        if (meant.get('init_cfg') or {}).get('type') == 'Pretrained':
            meant.pop('init_cfg')
        assert said == json.loads(json.dumps(meant))


def test_of_the_two_that_were_wrong():
    """Statistics of SSL4EO-S12 v1.1 for images of v1.1, and images in OpenCV's order for the published CMX."""
    found = describe_config(Config.fromfile(ROOT / 'configs/decur/ssl4eo-v11_s1-s2_r50_decur.py'))['modalities']
    assert [found[name]['radiometry'][-1]['statistics'] for name in ('sar', 'optical')] == ['ssl4eo_v11_s1', 'ssl4eo_v11_s2c']
    for size in ('b2', 'b4', 'b5'):
        found = describe_config(Config.fromfile(ROOT / f'configs/cmx/nyudv2_rgb-hha_mit-{size}_published.py'))['modalities']
        assert [entry['channel_order'] for entry in found.values()] == ['bgr', 'bgr']


def test_each_value_comes_from_the_part_that_uses_it():
    """A part that says something else than the top level is believed: that is what the run does."""
    cfg = Config.fromfile(ROOT / 'configs/fcn/geonrw_rgb-dem_r50_frozen.py')
    cfg.merge_from_dict({
        'model.data_preprocessor.modalities.rgb': dict(channel_order='bgr', mean=[7.0]), 'train_dataloader.dataset.modalities.dem': dict(
            radiometry=None, meta=dict(data='mine')), 'model.backbone.modalities.rgb.encoder.depth': 18})
    found = describe_config(cfg)['modalities']
    assert found['rgb']['channel_order'] == 'bgr' and found['rgb']['mean'] == [7.0] and found['rgb']['encoder']['depth'] == 18
    assert 'radiometry' not in found['dem'] and found['dem']['meta']['data'] == 'mine' and found['dem']['mean'] == [0.0]
    # Inside wrappers too.
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=dict(
        type='ConcatDataset', datasets=[cfg.train_dataloader.dataset, cfg.train_dataloader.dataset]))
    assert describe_config(cfg)['modalities'] == found
