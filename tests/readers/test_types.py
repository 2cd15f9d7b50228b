"""The table of types, by every reader: kept exactly, converted exactly, or refused."""
import numpy as np
import pytest
import rasterio
from helpers import write_tif

from decur.errors import ConfigError, DataError
from decur.readers import ArrayReader, BandReader, NpyReader, RasterioReader
from decur.readers.types import as_image, common_type, convert

#: In the file, in the array.
TABLE = [('bool', 'uint8'), ('uint8', 'uint8'), ('int8', 'int16'), ('uint16', 'uint16'), ('int16', 'int16'), ('int32', 'int32'),
         ('uint32', 'int32'), ('int64', 'int32'), ('uint64', 'int32'), ('float16', 'float32'), ('float32', 'float32'),
         ('float64', 'float32'), ('>f4', 'float32'), ('>f8', 'float32'), ('>u2', 'uint16'), ('>i2', 'int16'), ('>i8', 'int32'),
         ('longdouble', 'float32')]


def values(dtype):
    dtype = np.dtype(dtype)
    low = -100 if dtype.kind in 'if' else 0
    return np.random.default_rng(0).integers(low, 2 if dtype.kind == 'b' else 101, (4, 5, 2)).astype(dtype)


@pytest.mark.parametrize('stored, given', TABLE)
def test_npy_and_memory_follow_the_table(tmp_path, stored, given):
    array = values(stored)
    np.save(tmp_path / 'a.npy', array)
    for read in (NpyReader()(tmp_path / 'a.npy'), ArrayReader()(array)):
        assert read.dtype == np.dtype(given) and read.dtype.isnative and np.array_equal(read, array.astype(np.float64))


@pytest.mark.parametrize('stored, given', [pair for pair in TABLE if pair[0] in rasterio.dtypes.dtype_rev and pair[0] != 'float16'])
def test_rasters_and_bands_follow_the_table(tmp_path, stored, given):
    array = values(stored)
    write_tif(tmp_path / 'a.tif', array)
    for i, band in enumerate('xy'):
        write_tif(tmp_path / f'{band}.tif', array[..., i])
    for read in (RasterioReader()(tmp_path / 'a.tif'), BandReader(['x', 'y'], (4, 5))(dict(folder=str(tmp_path)))):
        assert read.dtype == np.dtype(given) and np.array_equal(read, array)


@pytest.mark.parametrize('array, says', [
    (np.array([2**31], np.int64), '2147483648, which does not fit int32'),
    (np.array([-2**40], np.int64), '-1099511627776, which does not fit int32'),
    (np.array([2**63], np.uint64), '9223372036854775808, which does not fit int32'),
    (np.array([1e39]), '1e[+]39, which is beyond the range of float32'),
    (np.array([1 + 2j], np.complex64), 'complex numbers'),
    (np.array(['a', 'b']), 'not numbers'),
    (np.array([(1, 2.)], [('a', 'i4'), ('b', 'f8')]), 'not numbers'),
    (np.array(['2020-01-01'], 'M8[D]'), 'not numbers'),
    (np.array([None]), 'not numbers'),
])
def test_what_would_change_is_refused(array, says):
    with pytest.raises(DataError, match=f'a.npy holds .*{says}'):
        convert(array, 'a.npy')


def test_a_type_that_is_asked_for():
    assert convert(np.array([2**24 + 1], np.int64), 'a', 'float32')[0] == 2**24
    assert convert(np.array([3., 4.]), 'a', 'uint8').tolist() == [3, 4]
    for bad in (np.array([300]), np.array([-1]), np.array([1.5]), np.array([np.nan])):
        with pytest.raises(DataError, match='a holds'):
            convert(bad, 'a', 'uint8')
    with pytest.raises(ConfigError, match="dtype must be .*got 'float64'"):
        RasterioReader(dtype='float64')


@pytest.mark.parametrize('value', [2**24, -2**24])
def test_an_image_of_integers_is_exact_in_float32_or_refused(value):
    image = as_image(np.array([value], np.int32), 'a')
    assert image.dtype == np.float32 and image[0] == value
    with pytest.raises(DataError, match="dtype='float32'.*accept rounding"):
        as_image(np.array([value + np.sign(value)], np.int32), 'a')


@pytest.mark.parametrize('types, common', [
    (('uint8', 'int16'), 'int16'), (('uint16', 'int16'), 'int32'), (('uint8', 'uint16'), 'uint16'), (('uint16', 'float32'), 'float32'),
    (('int32', 'float32'), 'float64'), (('uint8', 'uint8'), 'uint8')])
def test_bands_of_several_types(types, common):
    assert common_type(types, 'a') == np.dtype(common)


@pytest.mark.parametrize('first, second', [('uint16', 'float32'), ('uint8', 'int16'), ('int16', 'uint16'), ('float32', 'uint8')])
@pytest.mark.parametrize('size', [(4, 5), (8, 10)])
def test_bands_of_several_types_in_one_image(tmp_path, first, second, size):
    """The first band's type does not decide: nothing is cut off, whichever comes first and whether a band is resized or not."""
    a, b = np.full((4, 5), 200, first), np.full((4, 5), 60000 if second == 'uint16' else 7 if second == 'uint8' else -3, second)
    write_tif(tmp_path / 'a.tif', a)
    write_tif(tmp_path / 'b.tif', b)
    read = BandReader(['a', 'b'], size)(dict(folder=str(tmp_path)))
    assert (read[..., 0] == 200).all() and (read[..., 1] == b[0, 0]).all()


def test_bands_of_several_types_in_one_file(tmp_path):
    write_tif(tmp_path / 'a.tif', np.array([[1, 65535]], np.uint16), nodata=65535)
    write_tif(tmp_path / 'b.tif', np.array([[-9999., .5]], np.float32), nodata=-9999)
    bands = ''.join(f'<VRTRasterBand dataType="{kind}" band="{i + 1}"><NoDataValue>{tag}</NoDataValue><SimpleSource><SourceFilename '
                    f'relativeToVRT="1">{name}.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
                    for i, (name, kind, tag) in enumerate((('a', 'UInt16', 65535), ('b', 'Float32', -9999))))
    (tmp_path / 'two.vrt').write_text(f'<VRTDataset rasterXSize="2" rasterYSize="1">{bands}</VRTDataset>')
    read = RasterioReader()(tmp_path / 'two.vrt')
    assert read.dtype == np.float32 and read[0].tolist() == [[1, None], [None, .5]]


@pytest.mark.parametrize('dtype', ['complex64', 'complex128', 'complex_int16'])
def test_complex_rasters_are_refused(tmp_path, dtype):
    with rasterio.open(tmp_path / 'a.tif', 'w', driver='GTiff', height=2, width=2, count=1, dtype=dtype) as file:
        file.write(np.ones((1, 2, 2), np.complex64))
    with pytest.raises(DataError, match='a.tif holds complex numbers'):
        RasterioReader()(tmp_path / 'a.tif')
