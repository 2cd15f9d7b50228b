import h5py
import numpy as np
import pytest
import scipy.io

from decur.errors import DataError
from decur.prepare.mat import is_hdf5, open_hdf5, read_mat


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
