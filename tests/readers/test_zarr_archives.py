"""Archives of SSL4EO-S12 v1.1: damage, claims and pickles."""
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from decur.errors import DataError
from decur.readers.zarr_archives import open_archive, read_bands, read_entries

pytest.importorskip('zarr')


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def write(path, leave_out=(), rename=(), **changes):
    """An archive of two samples, two seasons and two bands, by hand; ``changes`` go to the description of an array."""
    rng = np.random.default_rng(0)
    bands = rng.integers(1, 3000, (2, 2, 2, 6, 6)).astype('<i2')
    texts = dict(band=np.array(['vv', 'vh']), sample=np.array(['0000001', '0000002']), file_id=np.array(['first', 'second']))
    parts = {f'bands/{i}.{j}.0.0.0': bands[i, j].tobytes() for i in range(2) for j in range(2)}
    parts |= {f'{name}/0': texts[name].tobytes() for name in ('band', 'sample')}
    parts['file_id/0.0'] = texts['file_id'].repeat(2).tobytes()
    arrays = dict(bands=((2, 2, 2, 6, 6), (1, 1, 2, 6, 6), '<i2'), **{name: ((2, ), (2, ), v.dtype.str) for name, v in texts.items()})
    arrays['file_id'] = (2, 2), (2, 2), texts['file_id'].dtype.str
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('.zgroup', json.dumps(dict(zarr_format=2)))
        for name, (shape, chunks, dtype) in arrays.items():
            if f'{name}/.zarray' in leave_out:
                continue
            about = dict(zarr_format=2, shape=shape, chunks=chunks, dtype=dtype, compressor=None, fill_value=None, order='C', filters=None)
            archive.writestr(f'{name}/.zarray', json.dumps({**about, **changes.get(name, {})}))
            for key, data in parts.items():
                if key.startswith(f'{name}/') and key not in leave_out:
                    archive.writestr(dict([rename] if rename else []).get(key, key), changes.get(f'{key}!', data))
    return bands


def test_what_is_there_is_read(tmp_path):
    path = tmp_path / 'x.zarr.zip'
    bands = write(path)
    assert read_entries(path)[0] == ['0000001', '0000002']
    found = read_bands(path, 1, 0)
    assert list(found) == ['VV', 'VH'] and np.array_equal(found['VH'], bands[1, 0, 1])


@pytest.mark.parametrize('leave_out, rename', [(['bands/0.0.0.0.0'], ()), (['bands/1.1.0.0.0', 'bands/0.1.0.0.0'], ()),
                                               ((), ('bands/1.0.0.0.0', 'bands/3.0.0.0.0')), ((), ('bands/1.0.0.0.0', 'band{/1.0.0.0.0'))])
def test_a_chunk_that_is_not_there_is_not_zeros(tmp_path, leave_out, rename):
    path = tmp_path / 'x.zarr.zip'
    write(path, leave_out, rename)
    with pytest.raises(DataError, match='x.zarr.zip lacks [12] of the 4 chunks'):
        open_archive(path)


@pytest.mark.parametrize('lost, said', [
    ('sample/0', "lacks 'sample/0', a chunk of its sample"),
    ('sample/.zarray', 'the ids of its samples cannot be read'),
    ('band/0', "lacks 'band/0', a chunk of its band"),
])
def test_what_names_the_samples_and_bands_is_there(tmp_path, lost, said):
    path = tmp_path / 'x.zarr.zip'
    write(path, [lost])
    with pytest.raises(DataError, match=f'x.zarr.zip.*{said}'):
        read_entries(path)


def test_damage_in_the_directory_shows(tmp_path):
    """The directory has no checksum: every bit of it is changed, one at a time."""
    path = tmp_path / 'x.zarr.zip'
    write(path)
    data = path.read_bytes()
    good = read_entries(path), [read_bands(path, 1, time)['VH'].tolist() for time in range(2)]
    start, refused = data.index(b'PK\1\2'), 0
    comment = data.index(b'sample/0', start) - 46 + 33  # the upper byte of its length; the names of the scenes come after this entry
    places = [8 * comment + 4, *range(8 * start, 8 * len(data), 37)]
    for number, place in enumerate(places):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        os.utime(path, ns=(number, number))
        try:
            assert (read_entries(path), [read_bands(path, 1, time)['VH'].tolist() for time in range(2)]) == good, place
        except DataError as error:
            assert path.name in str(error)
            refused += 1
    assert refused > len(places) / 4


@pytest.mark.parametrize('shape', [(1, 1, 2, 1 << 14, 1 << 14), (1 << 40, 1, 1, 1, 1), (64, 4, 13, 264, 2640)])
def test_claims_are_refused_before_memory_is_taken(tmp_path, shape):
    path = tmp_path / 'x.zarr.zip'
    write(path, bands=dict(shape=shape, chunks=shape))
    with pytest.raises(DataError, match='x.zarr.zip: bands claims chunks of'):
        open_archive(path)


@pytest.mark.parametrize('filters, compressor', [([dict(id='vlen-utf8'), dict(id='pickle')], None), ([dict(id='pickle')], None),
                                                 ([dict(id='vlen-utf8')], dict(id='pickle'))])
def test_pickles_are_refused(tmp_path, filters, compressor):
    path = tmp_path / 'x.zarr.zip'
    write(path, band=dict(dtype='|O', filters=filters, compressor=compressor), **{'band/0!': pickle.dumps(Touch(tmp_path / 'ran'))})
    with pytest.raises(DataError, match='x.zarr.zip'):
        open_archive(path)
    assert not (tmp_path / 'ran').exists()


def test_flipped_bits_of_chunks_are_noticed(tmp_path):
    path = tmp_path / 'x.zarr.zip'
    bands = write(path)
    whole = path.read_bytes()
    for i in range(2):
        for j in range(2):
            data = bytearray(whole)
            data[whole.index(bands[i, j].tobytes()) + 7 * (i + j)] ^= 1
            path.write_bytes(data)
            with pytest.raises(DataError, match=f'sample {i}, season {j} cannot be read'):
                read_bands(path, i, j)
            path.unlink()  # archives are told apart by size and time
