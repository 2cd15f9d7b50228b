import numpy as np
import pytest
from mmengine.registry import DATASETS

from decur.datasets import multimodal_collate
from decur.errors import ConfigError, DataError
from decur.registry import READERS
from decur.synthetic.factors import RenderedWorld

FACTORS = dict(shape=[('a', 'b')], colour=[('a', ), ('b', )], position=[('a', 'b')])


def config(**kwargs):
    views = dict(type='NoiseAugmentation', std=0.1, shift=2)
    cfg = dict(type='RenderedFactorsDataset', modalities=dict(a=dict(channels=3, augmentation=views),
                                                                b=dict(channels=1, augmentation=views)),
               factors=FACTORS, image_size=16, num_images=20,
               pipeline=[dict(type='LoadModalities'), dict(type='PackModalities', meta_keys=('sample_id', 'factors'))])
    cfg.update(kwargs)
    return cfg


def test_pictures_and_factors_of_a_sample_belong_together():
    dataset = DATASETS.build(config())
    batch = multimodal_collate([dataset[i] for i in range(len(dataset))])
    stored = [sample.factors for sample in batch['data_samples']]
    values = {name: np.array([f[name] for f in stored]) for name in stored[0]}
    assert set(values) == {'shape', 'colour_a', 'colour_b', 'position'}
    again = RenderedWorld(dict(a=3, b=1), FACTORS, image_size=16).render(values)
    for name, x in batch['inputs'].items():
        np.testing.assert_allclose(x.numpy().transpose(0, 2, 3, 1), again[name], atol=1e-6)
    assert dataset.metainfo['factors']['colour_b'] == dict(kind='categorical', modalities=('b', ), role='private')
    assert len({sample.sample_id for sample in batch['data_samples']}) == 20


def test_two_views_show_the_same_factors_with_other_noise():
    dataset = DATASETS.build(config(pipeline=[dict(type='LoadModalities'), dict(type='MakeViews'), dict(type='PackModalities')]))
    dataset.seed = 0
    one, two = dataset[3]['inputs']['a']
    assert not np.allclose(one, two)
    plain = DATASETS.build(config())[3]['inputs']['a']
    assert abs(float(one.mean()) - float(plain.mean())) < 0.1
    np.testing.assert_array_equal(one, dataset[3]['inputs']['a'][0])  # a function of (seed, epoch, index)


def test_draws_differ_by_seed_only_in_the_samples():
    a, b = (DATASETS.build(config(sample_seed=s)) for s in (0, 1))
    assert a.metainfo['factors'] == b.metainfo['factors']
    assert not np.allclose(a[0]['inputs']['a'], b[0]['inputs']['a'])


def test_linear_gaussian_samples_are_one_pixel():
    dataset = DATASETS.build(dict(
        type='LinearGaussianDataset', modalities=dict(a=dict(channels=9), b=dict(channels=8)), num_images=5, noise=0.0,
        pipeline=[dict(type='LoadModalities'), dict(type='PackModalities', meta_keys=('factors', ))]))
    sample = dataset[4]
    assert sample['inputs']['a'].shape == (9, 1, 1)
    values = sample['data_samples'].factors
    expected = dataset.world.mixing['a'] @ np.array(values['shared'] + values['private_a'])
    np.testing.assert_allclose(sample['inputs']['a'][:, 0, 0], expected, atol=1e-5)


def test_bad_input():
    with pytest.raises(ConfigError, match='num_images'):
        DATASETS.build(config(num_images=0))
    with pytest.raises(DataError, match='ArrayReader'):
        READERS.build(dict(type='ArrayReader'))('file.tif')
