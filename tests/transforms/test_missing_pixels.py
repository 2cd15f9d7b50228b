"""Missing pixels along the whole path: file, radiometry, fill, resizing, views; values that are no numbers are refused where they enter."""
import numpy as np
import pytest
import rasterio
import torch
from helpers import write_tif
from mmengine.registry import MODELS
from PIL import Image

from decur.datasets import PairedRasterDataset
from decur.errors import DataError, DataWarning
from decur.registry import READERS
from decur.transforms import CenterView, ConcatModalities, ModalityLoader, NoiseAugmentation, ViewAugmentation, to_tensor

SAR = dict(channels=2, bands=('VV', 'VH'), files=dict(folder='s1', suffix='.tif'), mean=[-12.5, -20.25], std=[5.3, 5.9])
#: Ways in which a file says that its first columns are missing: values there, and how it is written.
WAYS = dict(tag=(-9999., dict(nodata=-9999)), least=(-3.4028234663852886e38, dict(nodata=-3.4028234663852886e38)),
            nan=(np.nan, dict(nodata=np.nan)), zero=(0., dict(nodata=0)), mask=(-9999., 'mask'), said=(-32768., 'said'))


def sar(root, way, size=(40, 50), columns=8):
    rng = np.random.default_rng(0)
    image = (rng.normal(size=(*size, 2)) * (5, 6) - (12.5, 20.25)).astype(np.float32)
    value, how = WAYS[way]
    image[:, :columns] = value
    write_tif(root / 's1' / 'a.tif', image, **(how if isinstance(how, dict) else {}))
    if how == 'mask':
        with rasterio.open(root / 's1' / 'a.tif', 'r+') as file:
            valid = np.ones(size, bool)
            valid[:, :columns] = False
            file.write_mask(valid)
    reader = dict(reader=dict(type='RasterioReader', missing=value)) if how == 'said' else {}
    return image, dict(SAR, **reader)


def sample(root, entries, *steps, **kwargs):
    pipeline = [step if isinstance(step, dict) else dict(type=step) for step in ('LoadModalities', *steps)]
    return PairedRasterDataset(entries, str(root), pipeline=pipeline, **kwargs)[0]


@pytest.mark.parametrize('way', WAYS)
def test_missing_pixels_are_0_after_normalisation(tmp_path, way):
    """In pretraining: whatever the views do, a missing pixel is the mean in both, and no other pixel knows its value."""
    image, entry = sar(tmp_path, way)
    loaded = sample(tmp_path, dict(sar=entry))
    assert np.array_equal(loaded['images']['sar'][:, 8:], image[:, 8:]) and (loaded['images']['sar'][:, :8] == [-12.5, -20.25]).all()
    assert loaded['masks']['sar'][:, :8].all() and not loaded['masks']['sar'][:, 8:].any()
    augment = dict(type='ViewAugmentation', size=24, scale=(.3, 1.), value_range=(-60, 40), solarize_prob=.5, channel_drop_prob=0.)
    dataset = PairedRasterDataset(dict(sar=dict(entry, augmentation=augment)), str(tmp_path),
                                  pipeline=[dict(type='LoadModalities'), dict(type='MakeViews'), dict(type='PackModalities')])
    preprocessor = MODELS.build(dict(type='MultimodalDataPreprocessor', modalities=dict(sar=entry)))
    seen = 0
    for seed in range(30):
        dataset.seed = seed
        for view in dataset[0]['inputs']['sar']:
            x = preprocessor.normalize('sar', view[None])[0]
            assert x.abs().max() < 15  # -9999 would be -1884, and half of it where it is blurred
            seen += int((x == 0).sum())
    assert seen > 1000


@pytest.mark.parametrize('way', WAYS)
def test_missing_pixels_are_0_in_segmentation(tmp_path, way):
    image, entry = sar(tmp_path, way)
    (tmp_path / 'label').mkdir()
    Image.fromarray(np.zeros((80, 100), np.uint8)).save(tmp_path / 'label' / 'a.png')
    found = sample(tmp_path, dict(sar=entry), 'LoadLabelMap', 'ConcatModalities', label=dict(folder='label', suffix='.png'),
                   metainfo=dict(classes=('a', 'b')))
    assert found['img'].shape == (80, 100, 2)
    preprocessor = MODELS.build(dict(type='MultimodalSegDataPreprocessor', modalities=dict(sar=entry)))
    x = preprocessor(dict(inputs=[to_tensor(found['img'])]))['inputs'][0]
    assert (x[:, :, :16] == 0).all() and x.abs().max() < 6 and (x[:, :, 16:] != 0).float().mean() > .99
    # A pixel beside the hole is the mean of what is there alone.
    assert x[0, 0, 16].item() == pytest.approx((image[0, 8, 0] + 12.5) / 5.3, abs=1e-4)


def test_the_fill_is_in_the_order_of_the_reader_and_of_its_type(tmp_path):
    image = np.full((6, 6, 3), 77, np.uint8)
    image[:2] = 0
    write_tif(tmp_path / 'rgb' / 'a.tif', image, nodata=0)
    entry = dict(channels=3, files=dict(folder='rgb', suffix='.tif'), mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395],
                 channel_order='bgr')
    read = sample(tmp_path, dict(rgb=entry))['images']['rgb']
    assert read.dtype == np.uint8 and read[0, 0].tolist() == [124, 116, 104]
    preprocessor = MODELS.build(dict(type='MultimodalDataPreprocessor', modalities=dict(rgb=entry)))
    x = preprocessor.normalize('rgb', torch.from_numpy(read.transpose(2, 0, 1))[None])
    assert x[..., :2, :].abs().max() < .5 / 57
    wide = dict(entry, reader=dict(type='RasterioReader', dtype='float32'))
    x = preprocessor.normalize('rgb', torch.from_numpy(sample(tmp_path, dict(rgb=wide))['images']['rgb'].transpose(2, 0, 1).copy())[None])
    assert x[..., :2, :].abs().max() < 1e-6
    filled = dict(entry, reader=dict(type='RasterioReader', nodata=9))
    found = sample(tmp_path, dict(rgb=filled))
    assert (found['images']['rgb'][:2] == 9).all() and found['masks']['rgb'][:2].all()


@pytest.mark.parametrize('way', ['tag', 'least', 'nan', 'mask', 'said'])
@pytest.mark.parametrize('steps', [
    [dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_s1')], [dict(type='PercentilesToEightBit')],
    [dict(type='PercentilesToEightBit', low=2, high=90)], [dict(type='CutOutliers', share=.1)]])
def test_radiometry_is_that_of_the_valid_pixels(tmp_path, way, steps):
    """The image without its missing columns gives the same values as the image with them."""
    image, entry = sar(tmp_path / 'holed', way)
    write_tif(tmp_path / 'whole' / 's1' / 'a.tif', image[:, 8:])
    more = dict(radiometry=steps, **(dict(mean=[120.], std=[60.]) if any('EightBit' in step['type'] for step in steps) else {}))
    holed = sample(tmp_path / 'holed', dict(sar=dict(entry, **more)))
    whole = sample(tmp_path / 'whole', dict(sar=dict(SAR, **more)))
    assert np.array_equal(holed['images']['sar'][:, 8:], whole['images']['sar'])
    assert holed['masks']['sar'][:, :8].all() and 'sar' not in whole['masks']


@pytest.mark.parametrize('value, count', [(np.nan, 1), (np.inf, 3), (-np.inf, 2), (3e38, 1)])
@pytest.mark.parametrize('suffix', ['.tif', '.npy'])
def test_values_that_are_no_numbers_are_refused_where_they_enter(tmp_path, value, count, suffix):
    image = np.random.default_rng(0).normal(size=(9, 9, 2)).astype(np.float32)
    image[4, :count, 1] = value
    (tmp_path / 's1').mkdir()
    if suffix == '.npy':
        np.save(tmp_path / 's1' / 'a.npy', image)
    else:
        write_tif(tmp_path / 's1' / 'a.tif', image)
    entry = dict(SAR, files=dict(folder='s1', suffix=suffix))
    with pytest.raises(DataError, match=rf"a{suffix}: modality 'sar': band 'VH' has {count} of 81 pixels .*row 4, column 0.*missing="):
        sample(tmp_path, dict(sar=entry))
    said = dict(entry, reader=dict(type='AutoReader', missing=value))
    assert (sample(tmp_path, dict(sar=said))['images']['sar'][4, :count, 1] == -20.25).all()


def test_a_step_that_makes_values_that_are_no_numbers_is_refused(tmp_path):
    from mmengine.registry import TRANSFORMS

    @TRANSFORMS.register_module(force=True)
    class Decibel:
        def __call__(self, image):
            with np.errstate(divide='ignore'):
                return 10 * np.log10(image)

    write_tif(tmp_path / 's1' / 'a.tif', np.stack([np.ones((3, 3)), np.eye(3)], -1).astype(np.float32))
    with pytest.raises(DataError, match="a.tif: .*band 'VH' has 6 of 9.*-inf"):
        sample(tmp_path, dict(sar=dict(SAR, radiometry=[dict(type='Decibel')])))
    said = dict(SAR, radiometry=[dict(type='Decibel')], reader=dict(type='RasterioReader', missing=0))
    assert (sample(tmp_path, dict(sar=said))['images']['sar'][..., 1][~np.eye(3, dtype=bool)] == -20.25).all()


def test_a_reader_of_ones_own_may_return_either_kind_of_array():
    @READERS.register_module(name='TestsOwn', force=True)
    def own(marked=False):
        return lambda source: np.ma.masked_less(np.array(source, np.float64), 0) if marked else np.array(source, np.float64)

    image = np.array([[[1.], [-5.]]])
    plain = ModalityLoader('x', dict(channels=1, mean=[3.], reader=dict(type='TestsOwn')))
    assert plain(image)[0].tolist() == [[[1], [-5]]] and plain(image)[0].dtype == np.float32 and plain(image)[1] is None
    values, missing = ModalityLoader('x', dict(channels=1, mean=[3.], reader=dict(type='TestsOwn', marked=True)))(image)
    assert values.tolist() == [[[1], [3]]] and missing.tolist() == [[[False], [True]]]


def test_images_in_memory_take_the_same_way():
    loader = ModalityLoader('x', dict(channels=1, mean=[3.]))
    with pytest.raises(DataError, match="modality 'x': channel 0 has 1 of 4.*masked_invalid"):
        loader.finish(np.array([[[1.], [np.nan]], [[2.], [0.]]]))
    assert loader.finish(np.ma.masked_invalid(np.array([[[1.], [np.nan]]])))[0].tolist() == [[[1], [3]]]
    with pytest.raises(DataError, match='complex'):
        loader.finish(np.ones((2, 2, 1), np.complex64))
    with pytest.raises(DataError, match='2147483647; images are computed in float32'):
        loader.finish(np.array([[[2**31 - 1]]]))


def test_an_untagged_sentinel_is_told_once(tmp_path):
    image, _ = sar(tmp_path, 'said')
    dataset = PairedRasterDataset(dict(sar=SAR), str(tmp_path), pipeline=[dict(type='LoadModalities')])
    with pytest.warns(DataWarning, match='640 values are -32768.*missing=-32768') as told:
        dataset[0], dataset[0]
    assert len([one for one in told if one.category is DataWarning]) == 1


@pytest.mark.parametrize('dtype, kwargs', [(np.uint8, {}), (np.float32, dict(value_range=(0, 255)))])
@pytest.mark.parametrize('operation', ['jitter', 'blur', 'grayscale', 'solarize', 'crop'])
def test_views_do_not_depend_on_what_lies_below_the_mask(dtype, kwargs, operation):
    """Every operation gives the other pixels the same values whatever the missing ones hold, and these keep theirs."""
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, (40, 48, 3)).astype(dtype)
    missing = np.zeros(image.shape, bool)
    missing[:, :17] = missing[30:, :, 1] = True
    missing |= rng.random(image.shape) < .1
    probs = {f'{name}_prob': float(name == operation) for name in ('jitter', 'blur', 'grayscale', 'solarize')}
    augment = ViewAugmentation(size=(33, 29), scale=(.7, 1.), **probs, **kwargs)
    views = []
    for below in (0, 255, 131):
        np.random.seed(3)
        views.append(augment(np.where(missing, below, image).astype(dtype), missing=missing))
    hidden = (views[0] == 0) & (views[1] == 255) & (views[2] == 131)
    assert hidden.any() and not hidden.all()
    assert all(np.array_equal(views[0][~hidden], view[~hidden]) for view in views[1:])
    np.random.seed(3)
    plain = augment(image)
    if operation == 'crop':
        inner = ~hidden & (np.abs(views[0].astype(float) - plain) < 1e-3)
        assert inner.mean() > .2  # where no missing pixel is near, nothing is different


def test_a_blur_beside_a_hole_is_the_weighted_mean_of_what_is_there():
    image = np.full((20, 20, 1), 100, np.float32)
    missing = np.zeros(image.shape, bool)
    missing[:, :9] = True
    augment = ViewAugmentation(size=20, scale=(1, 1), ratio=(1, 1), jitter_prob=0, grayscale_prob=0, blur_prob=1, blur_sigma=(2, 2),
                               hflip_prob=0, vflip_prob=0)
    view = augment(np.where(missing, -9999, image).astype(np.float32), missing=missing)
    assert np.allclose(view[:, 9:], 100, atol=1e-3) and (view[:, :9] == -9999).all()


def test_noise_center_and_concat_keep_what_is_missing():
    rng = np.random.default_rng(0)
    image, missing = rng.normal(size=(20, 30, 2)).astype(np.float32), rng.random((20, 30, 2)) < .2
    holed = np.where(missing, 50, image).astype(np.float32)
    view = NoiseAugmentation(std=.1, shift=2, brightness=.2)(holed, missing=missing)
    assert (view == 50).any() and view[view != 50].max() < 10
    center = CenterView(size=10)
    center.bind(dict(x=dict(channels=2)), None)
    results = center.transform(dict(images=dict(x=holed), masks=dict(x=missing)))
    inside = results['images']['x'][~results['masks']['x']]
    assert results['images']['x'].shape == results['masks']['x'].shape == (10, 10, 2) and np.abs(inside).max() < 5
    concat = ConcatModalities()
    concat.bind(dict(y=dict(channels=1), x=dict(channels=2)), None)
    joined = concat.transform(dict(images=dict(y=np.zeros((11, 17, 1), np.float32), x=holed), masks=dict(x=missing)))['img']
    assert joined.shape == (11, 17, 3) and np.abs(joined[joined != 50]).max() < 5 and (joined == 50).any()


@pytest.mark.parametrize('channels', [1, 5, 64, 65, 129, 200, 400, 600])
@pytest.mark.parametrize('planar', [True, False])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_views_of_any_number_of_channels(channels, planar, dtype):
    image = np.random.default_rng(0).integers(0, 255, (channels, 20, 24)).astype(dtype).transpose(1, 2, 0)
    image = image if planar else np.ascontiguousarray(image)
    augment = ViewAugmentation(size=16, value_range=(0, 255), channel_drop_prob=1.)
    np.random.seed(0)
    view = augment(image)
    assert view.shape == (16, 16, channels)
    crop = ViewAugmentation(size=16, jitter_prob=0, grayscale_prob=0, blur_prob=0)
    geometry = crop.sample_geometry(24 / 20)
    view = crop(image, geometry=geometry)
    for c in {0, channels // 2, channels - 1}:
        assert np.array_equal(view[..., c:c + 1], crop(image[..., c:c + 1], geometry=geometry))
