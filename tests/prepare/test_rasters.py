"""Raster files in memory: values as stored, or an error before memory or time is taken."""
import struct
import time
import tracemalloc

import numpy as np
import pytest
from helpers import write_tif

from decur.errors import DataError
from decur.prepare.rasters import read_bands, read_raster


def tiff(width, height, bands=1, rows=None, bits=8, compression=1):
    """A TIFF of 200 bytes that claims what it likes."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1), (273, 4, 1, 8),
            (277, 3, 1, bands), (278, 4, 1, rows or height), (279, 4, 1, 100)]
    return b'II*\0' + struct.pack('<IH', 8, len(tags)) + b''.join(struct.pack('<HHII', *tag) for tag in tags) + bytes(50)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
def test_values_and_types_as_stored(tmp_path, dtype):
    image = np.arange(24).reshape(2, 4, 3).astype(dtype)
    write_tif(tmp_path / 'a.tif', image)
    found, tags = read_raster((tmp_path / 'a.tif').read_bytes(), 'a', 3)
    assert found.dtype == dtype and np.array_equal(found, image.transpose(2, 0, 1)) and tags == (None, None, None)


@pytest.mark.parametrize('data', [
    tiff(4, 4, 65535), tiff(1 << 16, 1 << 15), tiff(1 << 30, 1), tiff(100_000, 100_000, 1, 100_000), tiff(1 << 16, 1 << 15, compression=8),
    tiff(60_000, 60_000, rows=1, bits=32), b'II*\0', b'not a raster', b'II*\0' + bytes(200), b'\x89PNG\r\n\x1a\n' + bytes(100),
    b'\xff\xd8\xff\xe0' + bytes(300)
])
def test_claims_are_refused_before_memory_or_time_is_taken(data):
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(DataError, match='^x/B4.tif ') as error:
            read_bands('x', dict(B4=data), ['B4'])
        assert tracemalloc.get_traced_memory()[1] < 64 << 20 and time.process_time() - start < 5 and '\n' not in str(error.value)
    finally:
        tracemalloc.stop()


def test_a_file_does_not_lead_to_others(tmp_path):
    write_tif(tmp_path / 'secret.tif', np.ones((4, 4), np.uint16))
    virtual = (f'<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>'
               f'{tmp_path}/secret.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>')
    with pytest.raises(DataError, match='cannot be read'):
        read_raster(virtual.encode(), 'x', 1)


@pytest.mark.parametrize('bands', [2, 4, 13])
def test_another_number_of_bands_is_not_cut(tmp_path, bands):
    write_tif(tmp_path / 'a.tif', np.ones((4, 4, bands), np.uint8))
    with pytest.raises(DataError, match=f'has {bands} bands instead of 1'):
        read_bands('x', dict(B4=(tmp_path / 'a.tif').read_bytes()), ['B4'])


def test_truncated_or_missing(tmp_path):
    write_tif(tmp_path / 'a.tif', np.ones((40, 40), np.uint8))
    data = (tmp_path / 'a.tif').read_bytes()
    for end in (0, 100, len(data) - 200):
        with pytest.raises(DataError, match='empty|cannot be read'):
            read_raster(data[:end], 'x', 1)
    with pytest.raises(DataError, match="no band .'B8'."):
        read_bands('x', dict(B4=data), ['B4', 'B8'])
