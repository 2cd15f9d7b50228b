"""MATLAB files of either kind: version 7.3 (HDF5) by h5py, older ones by SciPy."""
from pathlib import Path

import numpy as np

from decur.errors import DataError

_HDF5 = b'\x89HDF\r\n\x1a\n'


def is_hdf5(path):
    """Whether ``path`` is a MATLAB file of version 7.3; its HDF5 part starts after a header of 512 bytes.

    Raises:
        DataError: If the file is absent or a folder.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f'{path} {"is a folder, expected a .mat file" if path.is_dir() else "does not exist"}.')
    with path.open('rb') as file:
        head = file.read(520)
    return head[:8] == _HDF5 or head[512:] == _HDF5


def open_hdf5(path):
    """The h5py file of a MATLAB file of version 7.3, for arrays that are read one by one. Axes are in reverse order.

    Raises:
        DataError: If it is of another kind, or truncated.
    """
    import h5py
    if not is_hdf5(path):
        raise DataError(f'{path} is no MATLAB file of version 7.3 (HDF5). Is it the original file, wholly downloaded?')
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise DataError(f'{path} cannot be opened ({error}). It is probably truncated: download it again.') from error


def field(file, path, *names):
    """``file[name1][name2]...`` of an h5py file, with an error that names what is missing."""
    node = file
    for name in names:
        if name not in node:
            raise DataError(f'{path} has no {"/".join(names)!r}; it has {sorted(k for k in file if not k.startswith("#"))}.')
        node = node[name]
    return node


def read_mat(path, name):
    """A variable as plain Python and NumPy.

    Args:
        path (str | Path): File of any version.
        name (str): The variable.

    Returns:
        Numeric arrays in MATLAB's own order of axes, without singleton axes; strings as ``str``; cell arrays as lists; a struct as a dict;
        a struct array as a list of dicts.

    Raises:
        DataError: If the file is absent, damaged, or has no such variable.
    """
    if is_hdf5(path):
        with open_hdf5(path) as file:
            try:
                return _from_hdf5(file, field(file, path, name))
            except DataError:
                raise
            except Exception as error:  # HDF5's errors have no common base
                raise DataError(f'{path} cannot be read ({error}). It is probably damaged: download it again.') from error
    import scipy.io
    try:
        content = scipy.io.loadmat(path, variable_names=[name], squeeze_me=True, struct_as_record=False)
    except Exception as error:  # SciPy raises whatever its parser stumbles over
        raise DataError(f'{path} cannot be read as a MATLAB file ({error}). It is probably truncated: download it again.') from error
    if name not in content:
        raise DataError(f'{path} has no variable {name!r}. Is it the original file, wholly downloaded?')
    return _from_scipy(content[name])


def _from_scipy(value):
    if hasattr(value, '_fieldnames'):
        return {key: _from_scipy(getattr(value, key)) for key in value._fieldnames}
    if isinstance(value, np.ndarray) and value.dtype.kind in 'OU':
        return [_from_scipy(item) for item in value.ravel()] if value.ndim else _from_scipy(value.item())
    return str(value) if isinstance(value, np.str_) else value


def _from_hdf5(file, node):
    import h5py
    if isinstance(node, h5py.Group):
        values = {key: _from_hdf5(file, child) for key, child in node.items()}
        references = [child for child in node.values() if isinstance(child, h5py.Dataset) and child.dtype == h5py.ref_dtype
                      and child.attrs.get('MATLAB_class', b'') != b'cell']
        # Each field of a struct array is an array of references, as long as the struct array.
        if references and len(references) == len(values):
            return [dict(zip(values, row)) for row in zip(*values.values())]
        return values
    if node.dtype == h5py.ref_dtype:
        return [_from_hdf5(file, file[reference]) for reference in node[()].ravel(order='C')]
    array = node[()]
    if node.attrs.get('MATLAB_class', b'') == b'char':
        return ''.join(chr(code) for code in np.asarray(array).T.ravel())
    return np.squeeze(np.asarray(array).T)[()]
