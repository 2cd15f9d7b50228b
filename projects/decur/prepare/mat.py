"""MATLAB files of either kind: version 7.3 (HDF5) by h5py, older ones by SciPy.

Neither library is made for files that nobody vouches for: a damaged one may raise anything, claim any size, or end the process. So
variables and shapes are read in a process of their own, and single arrays of large files in workers, after what they claim was checked.
"""
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.parallel import isolated

_HDF5 = b'\x89HDF\r\n\x1a\n'
#: Bytes of the largest array that is read at once; an image of a release has 3 MB.
LARGEST_ARRAY = 256 << 20
#: Items that a variable may have, references to the same one counted each time: 10335 images have about a million.
_MOST_ITEMS = 20_000_000


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
    except Exception as error:  # h5py passes on whatever the library meets
        raise DataError(f'{path} cannot be opened ({error}). It is probably truncated: download it again.') from error


@lru_cache(maxsize=1)
def _opened(path, process):
    return open_hdf5(path)


def reopen_hdf5(path):
    """As :func:`open_hdf5`, opened once in each process, for the images of one file in turn: processes must not share an HDF5 file."""
    return _opened(path, os.getpid())


def field(file, path, *names):
    """``file[name1][name2]...`` of an h5py file, with an error that names what is missing, damaged, or leads to another file."""
    import h5py
    node = file
    try:
        for name in names:
            if not isinstance(node, h5py.Group) or name not in node:
                raise DataError(f'{path} has no {"/".join(names)!r}; it has {sorted(k for k in file if not k.startswith("#"))}.')
            if isinstance(node.get(name, getlink=True), h5py.ExternalLink):
                raise DataError(f'{path}: {name!r} leads to another file, which no released file does.')
            node = node[name]
    except DataError:
        raise
    except Exception as error:
        raise DataError(f'{path} is damaged at {"/".join(names)!r} ({error}). Download it again.') from error
    return node


def read_shape(path, *names) -> tuple:
    """The shape of the data set ``names[0]/names[1]/...`` of a MATLAB file of version 7.3, empty for anything else.

    Raises:
        DataError: As :func:`open_hdf5` and :func:`field`.
    """
    def read():
        with open_hdf5(path) as file:
            return tuple(getattr(field(file, path, *names), 'shape', ()))

    return isolated(read, str(path))


def read_array(node, path, index=()) -> np.ndarray:
    """A data set of an h5py file, or the part of it at ``index`` (of its first axis).

    Raises:
        DataError: If it is no array of numbers or references, lies in another file, claims more than :data:`LARGEST_ARRAY` bytes, or
            cannot be read.
    """
    import h5py
    try:
        if not isinstance(node, h5py.Dataset) or (node.dtype.kind not in 'uifb' and not _refers(node)):
            raise DataError(f'{path}: {node.name} is no array of numbers.')
        if node.external or node.is_virtual:
            raise DataError(f'{path}: {node.name} lies in another file, which no released file does.')
        shape = node.shape if index == () else node.shape[1:]
        for claimed in (shape, node.chunks or ()):
            if np.prod([float(n) for n in claimed]) * node.dtype.itemsize > LARGEST_ARRAY:
                raise DataError(f'{path}: {node.name} claims {"x".join(map(str, claimed))} values, more than any released file has.')
        return np.asarray(node[index])
    except DataError:
        raise
    except Exception as error:
        raise DataError(f'{path}: {getattr(node, "name", "a variable")} cannot be read ({error}). Download it again.') from error


def read_mat(path, name, fields: Sequence | None = None):
    """A variable as plain Python and NumPy.

    Args:
        path (str | Path): File of any version.
        name (str): The variable.
        fields (Sequence[str], optional): Of a struct, or of the structs of an array, only these. Defaults to all.

    Returns:
        Numeric arrays in MATLAB's own order of axes, without singleton axes; strings as ``str``; cell arrays as lists; a struct as a dict;
        a struct array as a list of dicts.

    Raises:
        DataError: If the file is absent, damaged, or has no such variable or field.
    """
    read = _read_hdf5 if is_hdf5(path) else _read_scipy
    value = isolated(lambda: read(path, name, fields), str(path))
    for entry in (value if isinstance(value, list) else [value]) if fields else ():
        if not isinstance(entry, dict) or set(fields) - set(entry):
            raise DataError(f'{path}: {name!r} is no struct of {sorted(fields)}. Is it the original file, wholly downloaded?')
    return value


def read_integers(path, name) -> np.ndarray:
    """A variable that is a list of whole numbers, ``(N,)`` int64.

    Raises:
        DataError: As :func:`read_mat`, or if it is something else.
    """
    value = read_mat(path, name)
    value = np.atleast_1d(value).ravel() if isinstance(value, np.ndarray | np.number | int | float) else np.array([None])
    whole = value.dtype.kind in 'uif' and np.isfinite(value).all() and (value == np.rint(value)).all()
    if not whole or np.abs(value).max(initial=0) > 2**31:
        raise DataError(f'{path}: {name!r} is no list of whole numbers. Is it the original file, wholly downloaded?')
    return value.astype(np.int64)


def _read_scipy(path, name, fields):
    import scipy.io
    content = scipy.io.loadmat(path, variable_names=[name], squeeze_me=True, struct_as_record=False)
    if name not in content:
        raise DataError(f'{path} has no variable {name!r}. Is it the original file, wholly downloaded?')
    return _from_scipy(content[name], fields)


def _from_scipy(value, fields=None):
    if hasattr(value, '_fieldnames'):
        return {key: _from_scipy(getattr(value, key)) for key in value._fieldnames if fields is None or key in fields}
    if isinstance(value, np.ndarray) and value.dtype.kind in 'OU':
        return [_from_scipy(item, fields) for item in value.ravel()] if value.ndim else _from_scipy(value.item(), fields)
    return str(value) if isinstance(value, np.str_) else value


def _read_hdf5(path, name, fields):
    """A variable of a file of version 7.3; one that refers to itself, or a thousand times to one thing, is refused."""
    left = _MOST_ITEMS
    with open_hdf5(path) as file:

        def read(node, fields=None):
            import h5py
            nonlocal left
            left -= 1
            if left < 0:
                raise DataError(f'{path} refers to more values than any released file has.')
            if isinstance(node, h5py.Group):
                place = [part for part in node.name.split('/') if part]
                children = {key: field(file, path, *place, key) for key in node if fields is None or key in fields}
                values = {key: read(child) for key, child in children.items()}
                references = [child for child in children.values() if isinstance(child, h5py.Dataset) and _refers(child)
                              and child.attrs.get('MATLAB_class', b'') != b'cell']
                # Each field of a struct array is an array of references, as long as the struct array.
                if references and len(references) == len(values):
                    return [dict(zip(values, row)) for row in zip(*values.values(), strict=True)]
                return values
            array = read_array(node, path)
            if _refers(node):
                return [read(file[reference]) for reference in array.ravel(order='C')]
            if node.attrs.get('MATLAB_class', b'') == b'char':
                return ''.join(chr(code) for code in array.T.ravel())
            return np.squeeze(array.T)[()]

        return read(field(file, path, name), fields)


def _refers(node) -> bool:
    """Whether a data set holds references to others (comparing types does not tell them from strings)."""
    import h5py
    return h5py.check_ref_dtype(node.dtype) is h5py.Reference
