import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, MODELS

from decur.errors import ConfigError, DataError
from decur.evaluation.collect import collect_representations, score_model


def test_rows_belong_to_their_factors():
    encoder = dict(type='SmallResNet', stem_channels=4, base_channels=4, strides=(2, 2, 2, 2))
    modalities = dict(a=dict(channels=2, mean=[0.5], std=[0.2], encoder=encoder), b=dict(channels=1, encoder=encoder))
    dataset = DATASETS.build(dict(
        type='RenderedFactorsDataset', modalities=modalities, num_images=11, image_size=16,
        factors=dict(shape=[('a', 'b')], position=['a']),
        pipeline=[dict(type='LoadModalities'), dict(type='PackModalities', meta_keys=('factors', ))]))
    torch.manual_seed(0)
    model = MODELS.build(dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone', modalities=modalities),
                              neck=dict(type='MultimodalProjector', hid_channels=6, out_channels=5),
                              head=dict(type='DeCURHead', common_dim=3)))
    features, z, factors = collect_representations(model, dataset, batch_size=4)
    assert z['a'].shape == (11, 5) and features['b'].shape == (11, 32)
    assert factors['shape'].shape == (11, ) and factors['position_a'].shape == (11, 2)
    sample = dataset[7]
    np.testing.assert_array_equal(sample['data_samples'].factors['position_a'], factors['position_a'][7])
    with torch.no_grad():
        x = (sample['inputs']['a'][None] - 0.5) / 0.2
        np.testing.assert_allclose(model.eval().extract_embeddings(dict(a=x))['a'][0], z['a'][7], atol=1e-5)
    assert collect_representations(model, dataset, embeddings=False)[1] == {}


def test_a_data_set_without_factors():
    class Plain:
        metainfo = {}

    with pytest.raises(DataError, match='no known factors'):
        score_model(None, Plain(), 4)


@pytest.mark.parametrize('theirs', [dict(a=dict(channels=3)), dict(a=dict(channels=2), c=dict(channels=2))])
def test_a_data_set_of_other_modalities(theirs):
    class Model:
        modalities = dict(a=dict(channels=2), b=dict(channels=2))

    class Data:
        metainfo, modalities = dict(factors=dict(shape={})), theirs

    with pytest.raises(ConfigError, match=f"{list(theirs)[-1]!r} in . channels, the model has {{'a': 2, 'b': 2}}"):
        score_model(Model(), Data(), 4)
