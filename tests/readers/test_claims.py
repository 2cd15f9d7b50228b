"""What a file claims is compared with a limit before memory is taken, and files of another kind are named."""
import io
import struct
import time

import numpy as np
import pytest
from helpers import write_tif

from decur.errors import DataError
from decur.readers import AutoReader, NpyReader, RasterioReader, read_size
from decur.readers.rasters import tiff_nodata


def tiff(path, width, height, bands=1, bits=8, rows=None):
    """A TIFF of a few hundred bytes that claims a size."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, bands),
               (278, 4, rows or height), (279, 4, 8), (339, 3, 1)]
    data = struct.pack('<2sHIH', b'II', 42, 8, len(entries))
    for tag, kind, value in entries:
        data += struct.pack('<HHI', tag, kind, 1) + (struct.pack('<I', value) if kind == 4 else struct.pack('<HH', value, 0))
    path.write_bytes(data + bytes(100))


@pytest.mark.parametrize('width, height, bands', [(2**31 - 1, 1, 3), (65536, 32768, 1), (100000, 100000, 4), (30000, 30000, 13)])
def test_a_raster_that_claims_too_much_memory(tmp_path, width, height, bands):
    tiff(tmp_path / 'a.tif', width, height, bands)
    start = time.process_time()
    with pytest.raises(DataError, match='a.tif') as error:
        RasterioReader()(tmp_path / 'a.tif')
    assert time.process_time() - start < 5 and ('GiB' in str(error.value) or 'cannot be read' in str(error.value))
    if 'GiB' in str(error.value):
        assert f'{height}x{width}x{bands}' in str(error.value) and 'DECUR_MAX_IMAGE_GIB' in str(error.value)


@pytest.mark.parametrize('bands', [5000, 65535])
def test_a_raster_that_claims_many_bands(tmp_path, bands):
    tiff(tmp_path / 'a.tif', 2, 2, bands)
    start = time.process_time()
    with pytest.raises(DataError, match=f'a.tif claims {bands} bands; at most 4096'):
        RasterioReader()(tmp_path / 'a.tif')
    assert time.process_time() - start < 5


def test_a_strip_or_a_window_counts(tmp_path, monkeypatch):
    """A window of a large image is read; one strip of the whole image must be decoded for any window of it."""
    monkeypatch.setenv('DECUR_MAX_IMAGE_GIB', '0.001')  # a little more than a million bytes
    image = np.zeros((1100, 1100), np.uint8)
    write_tif(tmp_path / 'tiled.tif', image, tiled=True, blockxsize=256, blockysize=256)
    write_tif(tmp_path / 'strip.tif', image, blockysize=1100, compress='deflate')
    window = (5, 5, 20, 20)
    assert RasterioReader()(dict(path=tmp_path / 'tiled.tif', window=window)).shape == (20, 20, 1)
    with pytest.raises(DataError, match='1100x1100x1'):
        RasterioReader()(tmp_path / 'tiled.tif')
    with pytest.raises(DataError, match='strip.tif claims 1100x1100'):
        RasterioReader()(dict(path=tmp_path / 'strip.tif', window=window))
    np.save(tmp_path / 'a.npy', image)
    assert NpyReader()(dict(path=tmp_path / 'a.npy', window=window)).shape == (20, 20, 1) and read_size(tmp_path / 'a.npy') == (1100, 1100)
    with pytest.raises(DataError, match='a.npy claims 1100x1100x1'):
        NpyReader()(tmp_path / 'a.npy')
    monkeypatch.setenv('DECUR_MAX_IMAGE_GIB', '1')
    assert RasterioReader()(tmp_path / 'strip.tif').shape == (1100, 1100, 1)


def test_a_virtual_raster_that_claims_too_much(tmp_path):
    write_tif(tmp_path / 'a.tif', np.zeros((2, 2), np.uint8))
    band = ('<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
            '<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>')
    (tmp_path / 'a.vrt').write_text(f'<VRTDataset rasterXSize="65536" rasterYSize="65536">{band}</VRTDataset>')
    with pytest.raises(DataError, match='a.vrt claims 65536x65536x1 values of 1 byte.*4.0 GiB; more than 2 GiB'):
        RasterioReader()(tmp_path / 'a.vrt')
    assert RasterioReader()(dict(path=tmp_path / 'a.vrt', window=(0, 0, 2, 2))).shape == (2, 2, 1)
    (tmp_path / 'a.vrt').write_text('<VRTDataset')
    with pytest.raises(DataError, match='a.vrt is no virtual raster'):
        RasterioReader()(tmp_path / 'a.vrt')


def saved(save, *args, **kwargs):
    buffer = io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


@pytest.mark.parametrize('content, says', [
    (saved(np.savez, a=np.zeros((2, 2))), 'archive of arrays'),
    (saved(np.save, np.array([['a', 'b']])), 'not numbers'),
    (saved(np.save, np.zeros((2, 2), [('a', 'i4')])), 'not numbers'),
    (saved(np.save, np.zeros(3)), r'shape \(3,\)'),
    (saved(np.save, np.zeros((0, 3))), 'with pixels'),
    (saved(np.save, np.array(3.)), r'shape \(\)'),
    (saved(np.save, np.zeros((9, 9)))[:200], 'a.npy cannot be read as .npy'),
    (saved(np.save, np.zeros((9, 9)))[:9], 'a.npy cannot be read as .npy'),
    (b'\x93NUMPY\x01\x00\x46\x00' + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9999999, 9999999), }".ljust(69) + b'\n',
     'a.npy cannot be read'),
    (b'\x93NUMPY\x01\x00\x46\x00' + b'((((((((((((((((((((((((((('.ljust(69) + b'\n', 'a.npy cannot be read'),
    (b'\x89HDF\r\n\x1a\n' + bytes(64), 'a.npy cannot be read'),
    (b'', 'a.npy cannot be read'),
], ids=range(12))
def test_npy_files_that_are_none(tmp_path, content, says):
    (tmp_path / 'a.npy').write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        AutoReader()(tmp_path / 'a.npy')
    assert 'a.npy' in str(error.value)


def test_damaged_tiffs_do_not_stop_the_parser(tmp_path):
    """The parser of the nodata tag takes any bytes."""
    write_tif(tmp_path / 'a.tif', np.zeros((4, 4), np.uint16), nodata=7)
    whole = (tmp_path / 'a.tif').read_bytes()
    assert tiff_nodata(tmp_path / 'a.tif') == 7
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole[:int(rng.integers(0, len(whole) + 1))])
        for place in rng.integers(0, max(len(damaged), 1), 6):
            if damaged:
                damaged[place] = int(rng.integers(256))
        (tmp_path / 'b.tif').write_bytes(damaged)
        assert isinstance(tiff_nodata(tmp_path / 'b.tif'), float | None)


def test_hundreds_of_bands(tmp_path):
    image = np.random.default_rng(0).integers(0, 10000, (12, 14, 400)).astype(np.int16)
    write_tif(tmp_path / 'a.tif', image, nodata=-1)
    np.save(tmp_path / 'a.npy', image)
    for read in (AutoReader()(tmp_path / 'a.tif'), AutoReader()(tmp_path / 'a.npy')):
        assert np.array_equal(read, image)
    assert np.array_equal(RasterioReader(bands=[400, 1, 200])(tmp_path / 'a.tif'), image[..., [399, 0, 199]])
