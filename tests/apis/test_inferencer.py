"""Segmenting files and arrays: what is no number is refused or filled, and every file has a result of its own."""
import numpy as np
import pytest
import rasterio
import torch
from helpers import tiny_encoder, write_tif
from mmengine.config import Config
from PIL import Image

from decur.apis import SegmentationInferencer
from decur.apis.inferencer import pair_files
from decur.errors import ConfigError, DataError
from decur.weights.convert import build_model

MODALITIES = dict(
    sar=dict(channels=2, bands=('VV', 'VH'), mean=[-12.0, -20.0], std=[5.0, 5.0], encoder=tiny_encoder(),
             files=dict(folder='s1', suffix='.tif')),
    dem=dict(channels=1, mean=[300.0], std=[100.0], encoder=tiny_encoder(), files=dict(folder='dem', suffix='.tif')))


def config(modalities):
    return Config(dict(
        default_scope='mmseg', modalities=modalities,
        model=dict(type='EncoderDecoder', data_preprocessor=dict(type='MultimodalSegDataPreprocessor'),
                   backbone=dict(type='MultimodalBackbone', fusion=dict(type='ConcatFusion')),
                   decode_head=dict(type='MultiLevelFCNHead', in_index=(1, 2, 3), in_channels=(32, 64, 128), num_classes=4,
                                    dropout_ratio=0.0, align_corners=False, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
                   train_cfg=dict(), test_cfg=dict(mode='whole')),
        test_dataloader=dict(dataset=dict(type='PairedRasterDataset', data_root='.', metainfo=dict(classes=tuple('abcd')), pipeline=[]))))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('seg') / 'seg.pth'
    torch.save(dict(state_dict=build_model(config(MODALITIES)).state_dict()), path)
    return str(path)


@pytest.fixture(scope='module')
def segment(checkpoint):
    return SegmentationInferencer(config(MODALITIES), checkpoint)


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    return dict(sar=rng.normal(-12, 5, (48, 64, 2)).astype(np.float32), dem=rng.normal(300, 100, (48, 64, 1)).astype(np.float32))


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, -3.4e38])
@pytest.mark.parametrize('files', [False, True])
def test_what_is_no_number_is_refused(segment, sample, tmp_path, value, files):
    sample['sar'][3, 4, 1] = sample['sar'][5, 6, 1] = value
    if files:
        write_tif(tmp_path / 'a.tif', sample['sar'])
        sample['sar'] = tmp_path / 'a.tif'
    with pytest.raises(DataError) as info:
        segment(sample)
    message = str(info.value)
    assert all(part in message for part in ("'sar'", "'VH'", '2 of 3072 pixels', 'row 3, column 4')) and '\n' not in message
    assert ('a.tif' in message and 'reader=dict' in message) if files else 'masked' in message


@pytest.mark.parametrize('value', [-9999., np.nan, -32768.])
def test_what_is_said_to_be_missing_is_filled_with_the_mean(segment, checkpoint, sample, tmp_path, value):
    filled = {name: image.copy() for name, image in sample.items()}
    filled['sar'][:, :6] = MODALITIES['sar']['mean']
    expected = segment(filled, scores=True)['scores']
    sample['sar'][:, :6] = value
    # By the file's own tag, by a mask, and by the entry.
    write_tif(tmp_path / 'tagged.tif', sample['sar'], nodata=value)
    write_tif(tmp_path / 'plain.tif', sample['sar'])
    masked = np.ma.MaskedArray(sample['sar'], mask=np.isnan(sample['sar']) if np.isnan(value) else sample['sar'] == value)
    entry = dict(MODALITIES['sar'], reader=dict(type='RasterioReader', missing=value))
    said = SegmentationInferencer(config(dict(MODALITIES, sar=entry)), checkpoint)
    for inferencer, source in ((segment, tmp_path / 'tagged.tif'), (segment, masked), (said, tmp_path / 'plain.tif')):
        found = inferencer(dict(sample, sar=source), scores=True)
        assert np.allclose(found['scores'], expected, atol=1e-6)


def test_radiometry_is_that_of_the_test_data(segment, checkpoint, sample):
    """As the encoder has seen the images in training: before, inference left it out."""
    steps = [dict(type='CutOutliers', share=.1)]
    said = SegmentationInferencer(config(dict(MODALITIES, sar=dict(MODALITIES['sar'], radiometry=steps))), checkpoint)
    from mmengine.registry import TRANSFORMS
    prepared = TRANSFORMS.build(dict(steps[0]))(sample['sar'])
    assert not np.array_equal(prepared, sample['sar'])
    assert np.array_equal(said(sample, scores=True)['scores'], segment(dict(sample, sar=np.asarray(prepared)), scores=True)['scores'])


@pytest.mark.parametrize('change, says', [
    (lambda x: x.astype(np.complex64), 'complex'), (lambda x: x.astype(str), 'numbers'), (lambda x: x[..., :1], 'takes images'),
    (lambda x: x[None], 'must be an image'), (lambda x: x[:0], 'must be an image'),
    (lambda x: x.astype(np.float64) * 1e300, 'float32|no measurement')])
def test_arrays_that_are_no_images(segment, sample, change, says):
    with pytest.raises(DataError, match=says) as info:
        segment(dict(sample, sar=change(sample['sar'])))
    assert 'sar' in str(info.value)


@pytest.mark.parametrize('classes', [('a', ), tuple('abc'), tuple('abcde')])
def test_classes_that_are_not_those_of_the_model(checkpoint, classes):
    cfg = config(MODALITIES)
    cfg.test_dataloader.dataset.metainfo.classes = classes
    with pytest.raises(ConfigError, match=f'its data have {len(classes)} classes, the model has 4'):
        SegmentationInferencer(cfg, checkpoint)


@pytest.mark.parametrize('size', [(1, 1), (7, 3), (33, 71), (28, 28)])
def test_images_of_any_size(segment, size):
    assert segment(dict(sar=np.zeros((*size, 2), np.float32), dem=np.zeros(size, np.float32)))['prediction'].shape == size


STEMS = ('a', 'a.b', 'a.c', 'a b', 'site1/a', 'site2/a', 'site1/deep er/a.b')


def write_stems(root, stems, value=None):
    rng = np.random.default_rng(0)
    for stem in stems:
        write_tif(root / 's1' / f'{stem}.tif', rng.normal(-12, 5, (32, 32, 2)).astype(np.float32))
        write_tif(root / 'dem' / f'{stem}.tif', rng.normal(300, 100, (32, 32, 1)).astype(np.float32))
    return dict(sar=root / 's1', dem=root / 'dem')


def test_every_file_has_a_result_of_its_own(segment, tmp_path):
    sources = write_stems(tmp_path, STEMS)
    for hidden in ('._a.tif', '.cache/a.tif'):
        (tmp_path / 's1' / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / 's1' / hidden).write_bytes(b'junk')
    assert sorted(segment.run(sources, tmp_path / 'out')) == sorted(STEMS)
    for stem in STEMS:
        alone = segment({name: folder / f'{stem}.tif' for name, folder in sources.items()})
        for folder in ('predictions', 'overlays', 'pictures'):
            assert (tmp_path / 'out' / folder / f'{stem}.png').is_file()
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'out' / 'predictions' / f'{stem}.png')), alone['prediction'])


@pytest.mark.parametrize('twin', ['a.TIF', 'a.png', 'a.npy', 'site1/a.jpg'])
def test_two_files_of_one_stem(tmp_path, twin):
    sources = write_stems(tmp_path, STEMS)
    (tmp_path / 's1' / twin).write_bytes(b'another')
    with pytest.raises(DataError, match='two files of the stem .a.: a.*Keep one'):
        pair_files(sources)


def test_a_broken_file_in_the_middle(segment, tmp_path):
    sources = write_stems(tmp_path, 'abc')
    (tmp_path / 's1' / 'b.tif').write_bytes(b'broken')
    with pytest.raises(DataError, match=r'^b: .*b\.tif.*1 of 3 are segmented, in .*out') as info:
        segment.run(sources, tmp_path / 'out')
    assert '\n' not in str(info.value) and [path.name for path in (tmp_path / 'out' / 'predictions').iterdir()] == ['a.png']


def test_an_output_that_cannot_be_written(segment, tmp_path):
    sources = write_stems(tmp_path, 'ab')
    (tmp_path / 'out').write_text('a file')
    with pytest.raises(DataError, match='out'):
        segment.run(sources, tmp_path / 'out')
    with pytest.raises(DataError, match='intrinsics.json|no entry'):
        (tmp_path / 'intrinsics.json').write_text('{"a": [1, 1, 1, 1]}')
        segment.run(sources, tmp_path / 'free', tmp_path / 'intrinsics.json')
    assert not (tmp_path / 'free').exists()


def test_a_photograph_is_turned_as_its_camera_says(tmp_path, checkpoint):
    """EXIF orientation 6: the upright picture is the stored one turned by 90 degrees clockwise."""
    rng = np.random.default_rng(0)
    entry = dict(channels=3, mean=[128.0], std=[64.0], encoder=tiny_encoder(), files=dict(folder='rgb', suffix='.jpg'))
    modalities = dict(rgb=entry, dem=MODALITIES['dem'])
    path = tmp_path / 'seg.pth'
    torch.save(dict(state_dict=build_model(config(modalities)).state_dict()), path)
    segment = SegmentationInferencer(config(modalities), str(path))
    scene = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(scene, 1))).save(tmp_path / 'p.png', exif=exif)
    dem = np.zeros((24, 32, 1), np.float32)
    turned = segment(dict(rgb=tmp_path / 'p.png', dem=dem), scores=True)
    assert np.array_equal(turned['scores'], segment(dict(rgb=scene, dem=dem), scores=True)['scores'])


def test_nodata_of_one_band_only(segment, sample, tmp_path):
    """A mask by band: the other band's values there are used."""
    path = tmp_path / 'a.tif'
    write_tif(path, sample['sar'], nodata=-9999)
    with rasterio.open(path, 'r+') as file:
        band = file.read(2)
        band[:4] = -9999
        file.write(band, 2)
    filled = {name: image.copy() for name, image in sample.items()}
    filled['sar'][:4, :, 1] = MODALITIES['sar']['mean'][1]
    assert np.allclose(segment(dict(sample, sar=path), scores=True)['scores'], segment(filled, scores=True)['scores'], atol=1e-6)
