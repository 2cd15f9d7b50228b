import numpy as np
import pytest
import rasterio
from helpers import write_tif
from PIL import Image

from decur.errors import ConfigError, DataError
from decur.readers.files import AutoReader, NpyReader, PillowReader, RasterioReader, build_reader, read_size


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
def test_rasterio_reader_returns_what_the_file_holds(tmp_path, dtype):
    array = (np.arange(3 * 5 * 7).reshape(5, 7, 3) * 11).astype(dtype)
    write_tif(tmp_path / 'a.tif', array)
    read = RasterioReader()(tmp_path / 'a.tif')
    assert read.dtype == array.dtype and np.array_equal(read, array)
    assert np.array_equal(RasterioReader(bands=[3, 1])(tmp_path / 'a.tif'), array[..., [2, 0]])


def test_a_window_equals_the_cut_of_the_whole(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (30, 40, 2), dtype=np.uint8)
    write_tif(tmp_path / 'a.tif', array)
    np.save(tmp_path / 'a.npy', array)
    Image.fromarray(array[..., 0]).save(tmp_path / 'a.png')
    for path, bands in (('a.tif', slice(None)), ('a.npy', slice(None)), ('a.png', slice(0, 1))):
        source = dict(path=str(tmp_path / path), window=(4, 6, 10, 12))
        assert np.array_equal(AutoReader()(source), array[4:14, 6:18, bands])
        assert read_size(source) == (10, 12) and read_size(tmp_path / path) == (30, 40)
        with pytest.raises(DataError, match='leaves the image of 30x40'):
            AutoReader()(dict(path=str(tmp_path / path), window=(25, 0, 10, 10)))


def test_float64_becomes_float32_and_nodata_is_filled(tmp_path):
    array = np.array([[1.5, -9999.0]])
    write_tif(tmp_path / 'a.tif', array, nodata=-9999.0)
    assert RasterioReader(nodata=0)(tmp_path / 'a.tif')[..., 0].tolist() == [[1.5, 0.0]]
    assert RasterioReader()(tmp_path / 'a.tif').dtype == np.float32


def test_pillow_reader_keeps_palette_indices_16_bit_and_rgb_order(tmp_path):
    palette = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), mode='P')
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / 'p.png')
    assert PillowReader()(tmp_path / 'p.png')[..., 0].tolist() == [[0, 1], [2, 3]]
    deep = np.array([[0, 40000]], np.uint16)
    Image.fromarray(deep).save(tmp_path / 'd.png')
    read = PillowReader()(tmp_path / 'd.png')
    assert read.dtype == np.uint16 and read[..., 0].tolist() == deep.tolist()
    Image.fromarray(np.array([[[255, 0, 10]]], np.uint8)).save(tmp_path / 'c.png')
    assert PillowReader()(tmp_path / 'c.png')[0, 0].tolist() == [255, 0, 10]


def test_npy_reader_takes_planar_files_and_refuses_pickles(tmp_path):
    array = np.random.rand(3, 4, 5)
    np.save(tmp_path / 'a.npy', array)
    assert np.allclose(NpyReader(channels_first=True)(tmp_path / 'a.npy'), array.transpose(1, 2, 0))
    np.save(tmp_path / 'o.npy', np.array([dict(a=1)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match='o.npy'):
        NpyReader()(tmp_path / 'o.npy')


@pytest.mark.parametrize('name', ['a.tif', 'a.png', 'a.npy'])
def test_truncated_missing_and_folder_are_named(tmp_path, name):
    array = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = tmp_path / name
    if name.endswith('tif'):
        write_tif(path, array)
    elif name.endswith('png'):
        Image.fromarray(array).save(path)
    else:
        np.save(path, array)
    path.write_bytes(path.read_bytes()[:len(path.read_bytes()) // 2])
    with pytest.raises(DataError, match=name):
        AutoReader()(path)
    path.unlink()
    with pytest.raises(DataError, match='does not exist'):
        AutoReader()(path)
    path.mkdir()
    with pytest.raises(DataError, match='is a folder, expected a file'):
        AutoReader()(path)


def test_a_band_that_is_not_there_is_named(tmp_path):
    write_tif(tmp_path / 'a.tif', np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(DataError, match='has 2 band.*band 3'):
        RasterioReader(bands=[3])(tmp_path / 'a.tif')


def test_unknown_reader_lists_the_known():
    with pytest.raises(ConfigError, match='RasterioReader'):
        build_reader(dict(type='NoReader'))


def test_real_site_is_read_as_rasterio_reads_it(sample_data):
    path = next((sample_data / 'sites_s1_s2_dem' / 'S2L1C').glob('*.tif'))
    with rasterio.open(path) as file:
        expected = file.read(window=rasterio.windows.Window(32, 64, 48, 40))
    read = RasterioReader()(dict(path=str(path), window=(64, 32, 40, 48)))
    assert np.array_equal(read, expected.transpose(1, 2, 0)) and read.shape[2] == 13


@pytest.mark.parametrize('source', [dict(tar='a.tar', key='x', files={}), dict(store='a', key='x', size=(1, 1))])
@pytest.mark.parametrize('reader', [PillowReader, NpyReader])
def test_a_reader_of_files_says_what_it_cannot_read(source, reader):
    with pytest.raises(DataError, match=r'^a\S*: x is no file of its own.*AutoReader'):
        reader()(source)
