"""Files of which a reader would silently give a part, or an image that is turned, or something from another file."""
import struct

import numpy as np
import pytest
import rasterio
from helpers import write_tif
from PIL import Image

from decur.errors import DataError
from decur.readers import AutoReader, RasterioReader, read_size


def read_both(path):
    """Pixels and size are refused alike."""
    for read in (AutoReader(), RasterioReader(), read_size):
        with pytest.raises(DataError) as error:
            read(path)
        assert path.name in str(error.value) and '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('value', range(1, 9))
def test_orientation_of_a_tiff(tmp_path, value):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / 'a.tif'
    Image.fromarray(image).save(path, tiffinfo={274: value})
    if value == 1:
        assert np.array_equal(AutoReader()(path)[..., 0], image)
    else:
        assert f'orientation tag ({value})' in read_both(path)


def test_orientation_of_big_endian_and_of_bigtiff(tmp_path):
    image = np.zeros((3, 4), np.uint8)
    Image.fromarray(image).save(tmp_path / 'big.tif', tiffinfo={274: 6}, big_tiff=True)
    assert 'orientation tag (6)' in read_both(tmp_path / 'big.tif')
    entries = [(256, 4), (257, 3), (258, 8), (259, 1), (262, 1), (273, 122), (274, 3), (277, 1), (278, 3), (279, 12)]
    data = struct.pack('>2sHIH', b'MM', 42, 8, len(entries)) + b''.join(struct.pack('>HHIHH', tag, 3, 1, x, 0) for tag, x in entries)
    (tmp_path / 'mm.tif').write_bytes(data + bytes(4) + bytes(12))
    assert 'orientation tag (3)' in read_both(tmp_path / 'mm.tif')


@pytest.mark.parametrize('pages', [2, 13])
def test_a_tiff_of_several_pages(tmp_path, pages):
    first, *others = [Image.fromarray(np.full((4, 5), i, np.uint8)) for i in range(pages)]
    first.save(tmp_path / 'a.tif', save_all=True, append_images=others)
    assert f'holds {pages} images' in read_both(tmp_path / 'a.tif')


def test_overviews_and_masks_are_no_pages(tmp_path):
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    path = tmp_path / 'a.tif'
    write_tif(path, image)
    with rasterio.open(path, 'r+') as file:
        file.build_overviews([2, 4])
        file.write_mask(np.full((64, 64), 255, np.uint8))
    assert np.array_equal(RasterioReader()(path)[..., 0], image) and read_size(path) == (64, 64)


@pytest.mark.parametrize('name', ['a.h5', 'a.nc', 'a.tif', 'a.img'])
def test_hdf5_is_not_read(tmp_path, name):
    """Its arrays may lie in any file of the machine; here one does."""
    h5py = pytest.importorskip('h5py')
    (tmp_path / 'secret').write_bytes(bytes(range(64)))
    with h5py.File(tmp_path / name, 'w') as file:
        file.create_dataset('image', (8, 8), 'u1', external=[(str(tmp_path / 'secret'), 0, 64)])
    assert 'HDF5' in read_both(tmp_path / name)


@pytest.mark.parametrize('name', ['NETCDF:a.nc:x', '/vsizip/a.zip/b.tif', '/vsicurl/http://localhost/a.tif', 'zip://a.zip!b.tif',
                                  'HDF5:"a.h5"://image', 'GTIFF_DIR:1:a.tif', '/vsimem/a.tif', '/vsistdin/'])
def test_names_of_gdal_are_no_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_tif(tmp_path / 'a.tif', np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match='does not exist'):
        RasterioReader()(name)


def test_a_file_that_is_called_like_a_name_of_gdal(tmp_path, monkeypatch):
    """It is read as the file that it is."""
    monkeypatch.chdir(tmp_path)
    write_tif(tmp_path / 'a.tif', np.zeros((4, 4), np.uint8))
    write_tif(tmp_path / 'GTIFF_DIR:1:a.tif', np.ones((4, 4), np.uint8))
    assert RasterioReader()('GTIFF_DIR:1:a.tif').all()


def test_a_raster_whose_values_lie_elsewhere(tmp_path):
    """An ERS header may name any file; ENVI's values lie beside it."""
    (tmp_path / 'in').mkdir()
    (tmp_path / 'secret').write_bytes(bytes(range(16)))
    path = tmp_path / 'in' / 'a.ers'
    path.write_text('DatasetHeader Begin\n\tVersion = "6.0"\n\tDataFile = "../secret"\n\tDataSetType = ERStorage\n\tDataType = Raster\n'
                    '\tByteOrder = LSBFirst\n\tRasterInfo Begin\n\t\tCellType = Unsigned8BitInteger\n\t\tNrOfLines = 4\n'
                    '\t\tNrOfCellsPerLine = 4\n\t\tNrOfBands = 1\n\tRasterInfo End\nDatasetHeader End\n')
    read_both(path)
    with rasterio.open(tmp_path / 'in' / 'b.img', 'w', driver='ENVI', height=4, width=4, count=1, dtype='uint8') as file:
        file.write(np.arange(16, dtype=np.uint8).reshape(1, 4, 4))
    assert np.array_equal(RasterioReader()(tmp_path / 'in' / 'b.img')[..., 0], np.arange(16).reshape(4, 4))
