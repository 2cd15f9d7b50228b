import h5py
import numpy as np
import pytest
import scipy.io

from decur.errors import DataError
from decur.prepare import mat
from decur.prepare.mat import field, is_hdf5, open_hdf5, read_array, read_integers, read_mat


def old(path):
    cells = np.empty((1, 2), object)
    cells[0] = ['first/path', 'second']
    scipy.io.savemat(path, dict(numbers=np.arange(6.).reshape(2, 3), paths=cells, word='hello', one=dict(name='x', k=np.eye(3)),
                                many=np.array([[('a', 1), ('b', 2)]], [('name', object), ('value', object)])))


def new(path):
    with h5py.File(path, 'w', userblock_size=512) as file:
        def text(name, value):
            node = file.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16))
            node.attrs['MATLAB_class'] = np.bytes_('char')
            return node.ref

        def number(name, value):
            return file.create_dataset(name, data=np.array([[value]], float)).ref

        file['numbers'] = np.arange(6.).reshape(2, 3).T
        paths = [[text('#refs#/a', 'first/path')], [text('#refs#/b', 'second')]]
        cells = file.create_dataset('paths', data=np.array(paths, h5py.ref_dtype))
        cells.attrs['MATLAB_class'] = np.bytes_('cell')
        text('word', 'hello')
        one = file.create_group('one')
        text('one/name', 'x')
        one['k'] = np.eye(3)
        many = file.create_group('many')
        many.create_dataset('name', data=np.array([[text('#refs#/c', 'a')], [text('#refs#/d', 'b')]], h5py.ref_dtype))
        many.create_dataset('value', data=np.array([[number('#refs#/e', 1)], [number('#refs#/f', 2)]], h5py.ref_dtype))
    with open(path, 'r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM')


@pytest.mark.parametrize('write', [old, new])
def test_both_versions_give_the_same(tmp_path, write):
    path = tmp_path / 'x.mat'
    write(path)
    assert is_hdf5(path) == (write is new)
    assert np.array_equal(read_mat(path, 'numbers'), np.arange(6.).reshape(2, 3))
    assert read_mat(path, 'paths') == ['first/path', 'second']
    assert read_mat(path, 'word') == 'hello'
    one = read_mat(path, 'one')
    assert one['name'] == 'x' and np.array_equal(one['k'], np.eye(3))
    many = read_mat(path, 'many')
    assert [entry['name'] for entry in many] == ['a', 'b'] and [int(entry['value']) for entry in many] == [1, 2]
    with pytest.raises(DataError, match='absent'):
        read_mat(path, 'absent')


@pytest.mark.parametrize('write', [old, new])
def test_truncated(tmp_path, write):
    path = tmp_path / 'x.mat'
    write(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match='x.mat.*(truncated|wholly downloaded)'):
        read_mat(path, 'many')


def test_absent_and_other_files(tmp_path):
    with pytest.raises(DataError, match='does not exist'):
        read_mat(tmp_path / 'no.mat', 'x')
    with pytest.raises(DataError, match='folder'):
        read_mat(tmp_path, 'x')
    (tmp_path / 'text.mat').write_text('not a mat file')
    with pytest.raises(DataError, match='text.mat'):
        read_mat(tmp_path / 'text.mat', 'x')
    with pytest.raises(DataError, match='HDF5'):
        open_hdf5(tmp_path / 'text.mat')


def plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else [
        plain(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize('write', [old, new])
def test_any_damage_is_other_values_or_a_data_error(tmp_path, write):
    """Neither format has a checksum: what is damaged may be read as something else, but nothing else is raised and nobody dies."""
    path = tmp_path / 'x.mat'
    write(path)
    whole, rng, errors = path.read_bytes(), np.random.default_rng(3), 0
    for attempt in range(60):
        data = bytearray(whole)
        start = rng.integers(len(data))
        if attempt % 3 == 0:
            data[start] ^= 1 << rng.integers(8)
        elif attempt % 3 == 1:
            data[start:start + 64] = bytes(64)
        else:
            data[start:start + 16] = rng.integers(0, 256, 16, dtype=np.uint8).tobytes()
        path.write_bytes(data[:len(whole)])
        try:
            plain(read_mat(path, ('many', 'paths', 'numbers')[attempt % 3]))
        except DataError as error:
            errors += 1
            assert 'x.mat' in str(error) and '\n' not in str(error)
    assert errors > 3


@pytest.mark.parametrize('write', [old, new])
def test_only_the_fields_that_are_asked_for(tmp_path, write):
    path = tmp_path / 'x.mat'
    write(path)
    assert read_mat(path, 'many', ('name', )) == [dict(name='a'), dict(name='b')]
    assert read_mat(path, 'one', ('name', )) == dict(name='x')
    for name in ('numbers', 'paths', 'many'):
        with pytest.raises(DataError, match=f'{name}.*is no struct of'):
            read_mat(path, name, ('other', ))


@pytest.mark.parametrize('value', [np.array([1.5]), np.array([np.nan]), np.array([1e12]), 'text', np.array(['a', 'b'], object), dict(a=1)])
def test_what_is_no_list_of_whole_numbers(tmp_path, value):
    path = tmp_path / 'x.mat'
    scipy.io.savemat(path, dict(good=np.array([[3., 1.]]), one=7, bad=value))
    assert read_integers(path, 'good').tolist() == [3, 1] and read_integers(path, 'one').tolist() == [7]
    with pytest.raises(DataError, match="x.mat: 'bad' is no list of whole numbers"):
        read_integers(path, 'bad')


def hostile(path):
    """What HDF5 can say and no released file does."""
    with h5py.File(path, 'w', userblock_size=512) as file:
        file.create_dataset('huge', shape=(1 << 14, 1 << 14, 1 << 14), dtype='f8', chunks=(1, 16, 16), compression='gzip')
        file.create_dataset('chunk', shape=(4, 1 << 14, 1 << 14), dtype='f8', chunks=(1, 1 << 14, 1 << 14), compression='gzip')
        file['outside'] = h5py.ExternalLink('/etc/hostname', '/x')
        file.create_dataset('raw', shape=(10, ), dtype='u1', external=[('/etc/passwd', 0, 10)])
        layout = h5py.VirtualLayout(shape=(4, ), dtype='f8')
        layout[:] = h5py.VirtualSource('other.mat', 'x', shape=(4, ))
        file.create_virtual_dataset('virtual', layout)
        file.create_dataset('strings', data=['a', 'b'], dtype=h5py.string_dtype())
        loop = file.create_dataset('loop', shape=(1, 1), dtype=h5py.ref_dtype)
        loop[0, 0] = loop.ref
        before = file.create_dataset('many0', data=np.ones((1, 1)))
        for i in range(1, 40):  # 4 references to one with 4 references to one ...
            node = file.create_dataset(f'many{i}', shape=(1, 4), dtype=h5py.ref_dtype)
            node[0, :] = [before.ref] * 4
            before = node
    with open(path, 'r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM')


@pytest.mark.parametrize('name, says', [('huge', 'claims'), ('chunk', 'claims'), ('outside', 'another file'),
                                        ('raw', 'another file'), ('virtual', 'another file'), ('strings', 'no array of numbers'),
                                        ('loop', 'cannot be read'), ('many39', 'more values')])
def test_claims_and_ways_out_are_refused(tmp_path, name, says, monkeypatch):
    monkeypatch.setattr(mat, '_MOST_ITEMS', 10_000)
    path = tmp_path / 'x.mat'
    hostile(path)
    with pytest.raises(DataError, match=f'x.mat.*{says}'):
        read_mat(path, name)
    if says.startswith(('claims', 'another', 'no array')) and name != 'huge':
        with open_hdf5(path) as file, pytest.raises(DataError, match=f'x.mat.*{says}'):
            read_array(field(file, path, name), path, 0)
