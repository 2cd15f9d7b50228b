"""What enters a model: any number of channels, finite values, one statistic a channel."""
import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

import decur  # noqa: F401
from decur.errors import DataError

MODALITIES = dict(cube=dict(channels=300, bands=tuple(f'B{i}' for i in range(300)), mean=list(range(300)), std=[2.0]), dem=dict(channels=1))


def build(kind, **kwargs):
    return MODELS.build(dict(type=kind, modalities=MODALITIES, **kwargs))


def test_hundreds_of_channels_are_normalised_each_with_its_own_statistics():
    cube, dem = torch.randint(0, 60000, (2, 300, 8, 9), dtype=torch.int32), torch.zeros(2, 1, 8, 9)
    expected = (cube.float() - torch.arange(300.)[:, None, None]) / 2
    out = build('MultimodalDataPreprocessor')(dict(inputs=dict(cube=cube, dem=[dem, dem])), False)['inputs']
    assert torch.equal(out['cube'], expected) and torch.equal(out['dem'][1], dem)
    samples = [SegDataSample(metainfo=dict(img_shape=(8, 9), ori_shape=(8, 9))) for _ in range(2)]
    images = list(torch.cat([cube.float(), dem], dim=1))
    out = build('MultimodalSegDataPreprocessor')(dict(inputs=images, data_samples=samples), False)['inputs']
    assert torch.equal(out, torch.cat([expected, dem], dim=1))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_values_that_are_not_finite_are_refused_outside_of_training(value):
    inputs = dict(cube=torch.zeros(3, 300, 4, 4), dem=torch.zeros(3, 1, 4, 4))
    inputs['cube'][1, 299, 2, 2] = value
    samples = [DataSample(metainfo=dict(sample_id=name)) for name in ('a', 'b', 'c')]
    preprocessor = build('MultimodalDataPreprocessor')
    with pytest.raises(DataError, match=r"'cube'.* in 1 of 3 samples \(b\), channels \(B299\), 1 values"):
        preprocessor(dict(inputs=inputs, data_samples=samples), False)
    preprocessor(dict(inputs=inputs, data_samples=samples), True)  # training has a hook that stops with more to say
    build('MultimodalDataPreprocessor', absent=['cube'])(dict(inputs=inputs, data_samples=samples), False)
    # What stands in the rows of a sample that lacks the modality does not count.
    samples[1].set_field(dict(cube=False, dem=True), 'present', field_type='metainfo')
    preprocessor(dict(inputs=inputs, data_samples=samples), False)
    images = list(torch.cat([inputs['cube'], inputs['dem']], dim=1))
    paths = [SegDataSample(metainfo=dict(img_path=f'{name}.tif', img_shape=(4, 4), ori_shape=(4, 4))) for name in ('a', 'b', 'c')]
    with pytest.raises(DataError, match=r"'cube'.*\(b\.tif\), channels \(B299\)"):
        build('MultimodalSegDataPreprocessor')(dict(inputs=images, data_samples=paths), False)
    build('MultimodalSegDataPreprocessor', absent=['cube'])(dict(inputs=images, data_samples=paths), False)


def test_an_encoder_for_features_refuses_them_too():
    encoder = dict(type='SmallResNet', stem_channels=8, base_channels=8)
    loaded = decur.apis.LoadedEncoder(dict(cube=dict(MODALITIES['cube'], encoder=encoder)))
    x = torch.zeros(2, 300, 16, 16)
    assert loaded.extract_feat(dict(cube=x))['cube'].isfinite().all()
    x[1, 7, 3, 3] = float('nan')
    for function in (loaded.extract_feat, loaded.extract_maps, loaded):
        with pytest.raises(DataError, match=r"'cube'.*samples \(1\), channels \(B7\)"):
            function(dict(cube=x))
