import numpy as np
import pytest
from helpers import write_tif

from decur.errors import DataError
from decur.readers import InMemoryReader
from decur.readers.bands import BandReader
from decur.readers.files import AutoReader, RasterioReader


def test_a_file_is_decoded_once_and_windows_are_cut_from_it(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (30, 40, 2), dtype=np.uint8)
    path = tmp_path / 'a.tif'
    write_tif(path, array)
    reader = InMemoryReader(AutoReader())
    window = dict(path=str(path), window=(4, 6, 10, 12))
    assert np.array_equal(reader(window), array[4:14, 6:18])
    path.unlink()
    reader(window)[:] = 0  # a copy: what is kept stays
    assert np.array_equal(reader(window), array[4:14, 6:18]) and np.array_equal(reader(path), array)
    with pytest.raises(DataError, match='leaves the image of 30x40'):
        reader(dict(path=str(path), window=(25, 0, 10, 10)))


def test_options_of_the_reader_hold(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    write_tif(tmp_path / 'a.tif', array, nodata=5.)
    for options in (dict(missing=7), dict(missing=7, nodata=-1), dict(dtype='float32'), dict(nodata=0)):
        for source in (str(tmp_path / 'a.tif'), dict(path=str(tmp_path / 'a.tif'), window=(1, 0, 2, 3))):
            plain = RasterioReader(**options)
            memory = InMemoryReader(RasterioReader(**options))
            for _ in range(2):
                one, two = plain.read(source), memory.read(source)
                assert np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(two))
                assert np.array_equal(np.ma.getdata(one), np.ma.getdata(two)) and one.dtype == two.dtype
                assert np.array_equal(plain(source), memory(source))


def test_folders_of_bands_are_decoded_once(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (20, 20, 2), dtype=np.uint8)
    for sample in 'xy':
        (tmp_path / sample).mkdir()
        for channel, band in enumerate(('VV', 'VH')):
            write_tif(tmp_path / sample / f'{sample}_{band}.tif', array[..., channel:channel + 1] + (sample == 'y'))
    sources = [dict(folder=tmp_path / sample, pattern=f'{sample}_{{band}}.tif') for sample in 'xy']
    reader = InMemoryReader(BandReader(['VV', 'VH'], 20))
    first = [reader(source) for source in sources]
    for file in tmp_path.rglob('*.tif'):
        file.unlink()
    for source, one, added in zip(sources, first, (0, 1), strict=True):
        assert np.array_equal(reader(source), one) and np.array_equal(one, array + added)


def test_a_source_that_is_no_file_is_handed_on():
    class Given(AutoReader):
        def decode(self, source):
            return source['value'] if isinstance(source, dict) else source, None

    image = np.ones((2, 2, 1), np.uint8)
    reader = InMemoryReader(Given())
    assert np.array_equal(reader(image), image) and np.array_equal(reader(dict(value=2 * image)), 2 * image)
