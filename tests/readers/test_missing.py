"""Missing pixels as files say it, in every way that they do, come out as a mask or as the fill that was asked for."""
import re

import numpy as np
import pytest
import rasterio
from helpers import write_tif
from PIL import Image

from decur.errors import ConfigError, DataError, DataWarning
from decur.readers import ArrayReader, AutoReader, BandReader, NpyReader, PillowReader, RasterioReader
from decur.readers.missing import check_measurements, equals, holds, likely_missing, split

LEAST = -3.4028234663852886e38


def missing_of(image):
    return split(image)[1]


@pytest.mark.parametrize('dtype, value', [('float32', -9999.), ('float32', np.nan), ('float32', LEAST), ('float32', -9999.9),
                                          ('float64', -1e300), ('int16', -32768), ('uint8', 0), ('uint16', 65535),
                                          ('int32', -2147483648), ('float32', 0.)])
def test_a_tag_marks_its_value(tmp_path, dtype, value):
    array = np.full((3, 4, 2), 7, dtype)
    array[1, 2] = array[2, 0, 1] = value
    write_tif(tmp_path / 'a.tif', array, nodata=value)
    expected = np.zeros(array.shape, bool)
    expected[1, 2] = expected[2, 0, 1] = True
    for reader in (RasterioReader(), AutoReader()):
        read = reader(tmp_path / 'a.tif')
        assert np.array_equal(missing_of(read), expected) and (np.asarray(read)[~expected] == 7).all()
    filled = RasterioReader(nodata=5)(tmp_path / 'a.tif')
    assert not isinstance(filled, np.ma.MaskedArray) and (filled[expected] == 5).all() and (filled[~expected] == 7).all()
    assert missing_of(RasterioReader(nodata=5).read(tmp_path / 'a.tif')) is not None  # what LoadModalities reads with
    part = RasterioReader()(dict(path=str(tmp_path / 'a.tif'), window=(1, 1, 2, 3)))
    assert np.array_equal(missing_of(part), expected[1:, 1:])


@pytest.mark.parametrize('written', [-3.4e38, LEAST, -3.40282e38])
def test_the_least_float_is_told_however_it_is_rounded(tmp_path, written):
    """Files round -FLT_MAX in several ways, in the tag and in the pixels."""
    write_tif(tmp_path / 'a.tif', np.array([[written, LEAST, 7]], np.float32), nodata=-3.4028235e38)
    assert missing_of(RasterioReader()(tmp_path / 'a.tif'))[0, :, 0].tolist() == [True, True, False]


def virtual(folder, tags, kind='Float32', names='ab'):
    bands = ''.join(f'<VRTRasterBand dataType="{kind}" band="{i + 1}"><NoDataValue>{tag}</NoDataValue><SimpleSource><SourceFilename '
                    f'relativeToVRT="1">{name}.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
                    for i, (name, tag) in enumerate(zip(names, tags)))
    (folder / 'all.vrt').write_text(f'<VRTDataset rasterXSize="3" rasterYSize="1">{bands}</VRTDataset>')
    return folder / 'all.vrt'


@pytest.mark.parametrize('bands, expected', [(None, [[0, 1], [1, 0], [0, 0]]), ([2], [[1], [0], [0]]), ([2, 1], [[1, 0], [0, 1], [0, 0]])])
def test_every_band_has_its_own_tag(tmp_path, bands, expected):
    write_tif(tmp_path / 'a.tif', np.array([[1, -9999, -32768]], np.float32))
    write_tif(tmp_path / 'b.tif', np.array([[-32768, 2, -9999]], np.float32))
    read = RasterioReader(bands=bands)(virtual(tmp_path, (-9999, -32768)))
    assert missing_of(read)[0].astype(int).tolist() == expected


@pytest.mark.parametrize('tag', [b'-9999', b'nan', b'1e+20', b'0.5'])
@pytest.mark.parametrize('profile', [dict(), dict(bigtiff='yes'), dict(endianness='big')])
def test_a_tag_that_the_type_cannot_hold_is_told_once(tmp_path, tag, profile):
    path, reader = tmp_path / 'a.tif', RasterioReader()
    write_tif(path, np.array([[0, 7, 55537]], np.uint16), nodata=12345, **profile)
    path.write_bytes(path.read_bytes().replace(b'12345\0', tag.ljust(5, b'\0') + b'\0'))
    with pytest.warns(DataWarning, match=f'nodata tag {re.escape(tag.decode())} cannot occur in uint16.*missing=value') as told:
        assert reader(path)[0, :, 0].tolist() == [0, 7, 55537]
        reader(path)
    assert len(told) == 1
    assert missing_of(RasterioReader(missing=55537)(path))[0, :, 0].tolist() == [False, False, True]


@pytest.mark.parametrize('internal', [True, False])
def test_mask_bands(tmp_path, internal):
    array = np.random.default_rng(0).normal(size=(6, 5, 2)).astype(np.float32)
    hidden = np.zeros((6, 5), bool)
    hidden[:, :2] = True
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        write_tif(tmp_path / 'a.tif', array)
        with rasterio.open(tmp_path / 'a.tif', 'r+') as file:
            file.write_mask(~hidden)
    assert (tmp_path / 'a.tif.msk').exists() != internal
    for source, part in ((tmp_path / 'a.tif', np.s_[:]), (dict(path=tmp_path / 'a.tif', window=(2, 1, 3, 4)), np.s_[2:5, 1:5])):
        missing = missing_of(RasterioReader()(source))
        assert np.array_equal(missing, np.stack([hidden, hidden], -1)[part])
    assert (RasterioReader(bands=[2], nodata=-1)(tmp_path / 'a.tif')[hidden] == -1).all()


def test_an_alpha_band_is_the_mask_unless_it_is_read_itself(tmp_path):
    image = np.random.default_rng(0).integers(1, 255, (6, 5, 4), dtype=np.uint8)
    image[:, :2, 3] = 0
    write_tif(tmp_path / 'a.tif', image, photometric='RGB', alpha='yes')
    whole = RasterioReader()(tmp_path / 'a.tif')
    assert np.array_equal(whole, image) and missing_of(whole) is None  # four bands: near infrared is often written so
    colours = RasterioReader(bands=[1, 2, 3])(tmp_path / 'a.tif')
    assert np.array_equal(missing_of(colours), np.repeat(image[..., 3:] == 0, 3, -1))


@pytest.mark.parametrize('mode, name', [('RGBA', 'a.png'), ('LA', 'a.png'), ('RGBA', 'a.webp'), ('P', 'a.png')])
def test_transparent_pixels_of_pictures(tmp_path, mode, name):
    alpha = np.full((6, 5), 255, np.uint8)
    alpha[:2] = 0
    alpha[3] = 100  # half transparent is there
    if mode == 'P':
        image = Image.fromarray(np.where(alpha == 0, 3, 1).astype(np.uint8), 'P')
        image.putpalette([0, 0, 0, 10, 20, 30, 5, 5, 5, 9, 9, 9])
        image.save(tmp_path / name, transparency=3)
        assert PillowReader()(tmp_path / name).tolist() == np.where(alpha == 0, 3, 1)[..., None].tolist()  # indices as they are
    else:
        colours = np.full((6, 5, len(mode) - 1), 77, np.uint8)
        lossless = dict(lossless=True) if name.endswith('webp') else {}
        Image.fromarray(np.concatenate([colours, alpha[..., None]], -1), mode).save(tmp_path / name, **lossless)
        assert PillowReader()(tmp_path / name).shape[2] == len(mode)
    read = PillowReader(mode='RGB')(tmp_path / name)
    assert read.shape == (6, 5, 3) and np.array_equal(missing_of(read), np.repeat((alpha == 0)[..., None], 3, -1))


@pytest.mark.parametrize('missing, expected', [(-9999, [1, 0, 0, 0]), ([-9999, float('nan')], [1, 1, 0, 0]),
                                               ((0, float('inf')), [0, 0, 1, 1]), (None, [0, 0, 0, 0])])
def test_values_that_are_said_to_mean_missing(tmp_path, missing, expected):
    array = np.array([[-9999, np.nan, 0, np.inf]], np.float32)
    write_tif(tmp_path / 'a.tif', array)
    write_tif(tmp_path / 'b.tif', array)
    np.save(tmp_path / 'a.npy', array)
    given = dict(missing=missing)
    with pytest.warns(DataWarning) if missing is None else np.errstate():
        for image in (RasterioReader(**given)(tmp_path / 'a.tif'), NpyReader(**given)(tmp_path / 'a.npy'),
                      AutoReader(**given)(tmp_path / 'a.npy'), ArrayReader(**given)(array[..., None]),
                      BandReader(['a', 'b'], (1, 4), **given)(dict(folder=str(tmp_path)))):
            assert np.ma.getmaskarray(image)[0, :, 0].astype(int).tolist() == expected


def test_missing_of_8_and_16_bits():
    image = np.array([0, 5, 255], np.uint8)
    assert equals(image, 0).tolist() == [True, False, False] and equals(image, 255).tolist() == [False, False, True]
    assert not any(holds(image.dtype, value) or equals(image, value).any() for value in (-9999, float('nan'), .5))
    assert equals(np.array([65535, 1], '>u2'), 65535).tolist() == [True, False]


@pytest.mark.parametrize('dtype, fill', [('uint8', -1), ('uint8', 300), ('uint8', .5), ('uint8', float('nan')), ('int16', 40000)])
def test_a_fill_that_the_type_cannot_hold_is_an_error(tmp_path, dtype, fill):
    write_tif(tmp_path / 'a.tif', np.array([[0, 7]], dtype), nodata=0)
    with pytest.raises(DataError, match=f"a.tif: nodata={fill:g} does not fit {dtype}. Add dtype='float32'"):
        RasterioReader(nodata=fill)(tmp_path / 'a.tif')
    read = RasterioReader(nodata=fill, dtype='float32')(tmp_path / 'a.tif')
    assert np.array_equal(read[0, :, 0], np.array([fill, 7], np.float32), equal_nan=True)


@pytest.mark.parametrize('options, says', [(dict(nodata='mode'), "'mean'; got 'mode'"), (dict(nodata=True), 'got True'),
                                           (dict(missing='none'), "got 'none'"), (dict(missing=[1, None]), r'got \[1, None\]')])
def test_options_that_cannot_be(options, says):
    for reader in (RasterioReader, PillowReader, NpyReader, AutoReader, ArrayReader):
        with pytest.raises(ConfigError, match=says):
            reader(**options)


@pytest.mark.parametrize('value', [-9999, -32768, LEAST])
def test_a_likely_sentinel_without_a_tag_is_told_once(tmp_path, value):
    array = np.random.default_rng(0).normal(-12, 2, (20, 20, 2)).astype(np.float32)
    array[:, :3] = value
    write_tif(tmp_path / 'a.tif', array)
    reader = RasterioReader()
    with pytest.warns(DataWarning, match=re.escape(f'a.tif: 120 values are {value:g}, far below all others')) as told:
        reader(tmp_path / 'a.tif')
        reader(tmp_path / 'a.tif')
    assert len(told) == 1
    assert likely_missing(np.array([-9999., -9990., -9000.])) is None  # a trench, not a sentinel
    assert likely_missing(np.array([0, 3, 9], np.uint8)) is None and likely_missing(np.full(3, -9999.)) is None


@pytest.mark.parametrize('value, source, says', [
    (np.nan, 'a.tif', r"a.tif: modality 'sar': band 'VH' has 1 of 12 pixels .*first nan at row 1, column 2.*missing=float\('nan'\)"),
    (-np.inf, 'b.npy', r"b.npy: .*band 'VH'.*first -inf .*missing=float\('-inf'\)"),
    (LEAST, 'c.tif', r"first -3.40282e\+38 .*missing=-3.40282e\+38"),
    (1e31, None, r"^modality 'sar': band 'VH'.*masked_invalid"),
])
def test_values_that_are_no_measurement_are_named(value, source, says):
    image = np.ones((3, 4, 2), np.float32)
    image[1, 2, 1] = value
    with pytest.raises(DataError, match=says) as error:
        check_measurements(image, 'sar', ('VV', 'VH'), source)
    assert '\n' not in str(error.value)
    check_measurements(np.ma.MaskedArray(image, ~(np.abs(image) < 10)), 'sar')  # known to be missing
    check_measurements(image, 'sar', missing=~(np.abs(image) < 10))


def test_band_descriptions_in_another_order_are_an_error(tmp_path):
    array = np.stack([np.full((2, 2), -20.), np.full((2, 2), -12.), np.zeros((2, 2))], -1).astype(np.float32)
    write_tif(tmp_path / 'a.tif', array)

    def describe(*names):
        with rasterio.open(tmp_path / 'a.tif', 'r+') as file:
            file.descriptions = names

    describe('vh', 'vv', 'angle')
    with pytest.raises(DataError, match=r"describes its bands as \('vh', 'vv'\), the entry says bands=\('VV', 'VH'\)"):
        RasterioReader(bands=[1, 2], names=('VV', 'VH'))(tmp_path / 'a.tif')
    by_name = RasterioReader(bands=['VV', 'VH'], names=('VV', 'VH'))(tmp_path / 'a.tif')
    assert by_name[0, 0].tolist() == [-12, -20]
    with pytest.raises(DataError, match="described as 'B4'.*'VH', 'VV', 'ANGLE'"):
        RasterioReader(bands=['B4'])(tmp_path / 'a.tif')
    describe('B02', 'B03', 'B04')  # spelt in another way, or not names at all
    RasterioReader(names=('B2', 'B3', 'B4'))(tmp_path / 'a.tif')
    with pytest.raises(DataError, match='describes its bands'):
        RasterioReader(names=('B4', 'B3', 'B2'))(tmp_path / 'a.tif')
    describe('reflectance', 'of a day', None)
    RasterioReader(names=('B4', 'B3', 'B2'))(tmp_path / 'a.tif')


def test_scale_and_offset_tags_are_told_or_applied(tmp_path):
    write_tif(tmp_path / 'a.tif', np.array([[0, 1000, 3000]], np.int16), nodata=0)
    with rasterio.open(tmp_path / 'a.tif', 'r+') as file:
        file.scales, file.offsets = (.0001, ), (-.1, )
    with pytest.warns(DataWarning, match='scale of 0.0001 and an offset of -0.1; the raw values are read.*scaled=True'):
        assert RasterioReader()(tmp_path / 'a.tif')[0, 1:, 0].tolist() == [1000, 3000]
    scaled = RasterioReader(scaled=True, missing=3000)(tmp_path / 'a.tif')  # a value of the file, not of the scaled image
    assert missing_of(scaled)[0, :, 0].tolist() == [True, False, True]
    assert scaled[0, 1, 0] == pytest.approx(0) and scaled.dtype == np.float32
