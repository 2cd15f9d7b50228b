"""The one table of types of all readers: what is kept, widened, narrowed and refused.

=================================  ==================================================================================================
in the file                        in the array
=================================  ==================================================================================================
1 bit, bool                        uint8, 0 and 1
uint8, uint16, int16, float32      as in the file
int8                               int16
int32, int64, uint32, uint64       int32; an error if a value does not fit
float16                            float32
float64, long double               float32, rounded to the nearest; an error if a value is beyond its range
complex, text, objects, records    refused
=================================  ==================================================================================================

The byte order becomes the machine's. Bands of several types in one image are promoted to the narrowest of uint8, int16, uint16, int32 and
float32 that holds all of them. As an *image* (:class:`~decur.transforms.LoadModalities`) int32 becomes float32, an error if a value
is beyond 2^24, where float32 no longer holds every integer. A reader's ``dtype`` asks for another type of the five: 'float32' rounds what
it cannot hold exactly, an integer type refuses what it cannot hold.
"""
from collections.abc import Iterable

import numpy as np

from decur.errors import DataError, check_choice

#: The types that readers give.
TYPES = ('uint8', 'int16', 'uint16', 'int32', 'float32')
#: float32 holds every integer up to here.
EXACT_INTEGERS = 2**24
_KEPT = {np.dtype(name) for name in TYPES}


def check_dtype(dtype: str | None) -> str | None:
    """Return the ``dtype`` option of a reader.

    Raises:
        ConfigError: If it is none of :data:`TYPES`.
    """
    return None if dtype is None else check_choice('dtype', getattr(dtype, '__name__', str(dtype)), TYPES)


def check_real(dtype: np.dtype, name: str) -> None:
    """Refuse what is no image of real numbers.

    Raises:
        DataError: Complex numbers, text, objects, records, dates.
    """
    if dtype.kind == 'c':
        raise DataError(f'{name} holds complex numbers ({dtype}): write amplitude, intensity or phase as real bands first.')
    if dtype.kind not in 'biuf':
        raise DataError(f'{name} holds {dtype}, not numbers.')


def convert(array: np.ndarray, name: str, dtype: str | None = None, missing: np.ndarray | None = None) -> np.ndarray:
    """Bring an array to a type of the table.

    Args:
        array (ndarray): As the file has it.
        name (str): What error messages call it: the file.
        dtype (str, optional): The reader's option.
        missing (ndarray, optional): bool, same shape: values that mean nothing and become 0.

    Returns:
        ndarray: Of a type of :data:`TYPES`, in the machine's byte order; the array itself where nothing changes.

    Raises:
        DataError: If it holds no real numbers, or a value that the type cannot hold.
    """
    check_real(array.dtype, name)
    if missing is not None:
        array = np.where(missing, array.dtype.type(0), array)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if dtype is None:
        if array.dtype in _KEPT:
            return array
        if kind == 'f':
            dtype = 'float32'
        elif kind == 'b':
            dtype = 'uint8'
        else:  # 16 bit are kept, here in another byte order
            dtype = array.dtype.name if size == 2 else 'int16' if size == 1 else 'int32'
    target = np.dtype(dtype)
    if array.dtype == target:
        return array
    if target.kind in 'iu':
        _check_integers(array, target, name)
    elif kind == 'f' and size > 4:
        large = np.abs(array[np.isfinite(array)]).max(initial=0)
        if large > np.finfo(np.float32).max:
            raise DataError(f'{name} holds {large:.3g}, which is beyond the range of float32. If it means "missing", say so: '
                            'reader=dict(..., missing=value).')
    with np.errstate(invalid='ignore', over='ignore'):
        return array.astype(target)


def _check_integers(array: np.ndarray, target: np.dtype, name: str) -> None:
    limits = np.iinfo(target)
    if array.dtype.kind == 'f' and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise DataError(f"{name} holds values that are no integers, which {target.name} cannot hold. Use dtype='float32'.")
    for value in (array.min(initial=0), array.max(initial=0)):
        if not limits.min <= value <= limits.max:
            cure = "Use dtype='float32', which rounds them, or divide them" if target.name == 'int32' else 'Use a wider dtype'
            raise DataError(f'{name} holds {value}, which does not fit {target.name} ({limits.min}..{limits.max}). {cure}. If it means '
                            '"missing", say so: reader=dict(..., missing=value).')


def as_image(array: np.ndarray, name: str) -> np.ndarray:
    """The type of an image whose values are interpolated and normalised: uint8, uint16, int16 or float32.

    Raises:
        DataError: If an int32 value cannot be held by float32 exactly.
    """
    array = convert(array, name)
    if array.dtype != np.int32:
        return array
    if array.size and not -EXACT_INTEGERS <= array.min() <= array.max() <= EXACT_INTEGERS:
        value = array.max() if array.max() > EXACT_INTEGERS else array.min()
        raise DataError(f'{name} holds {value}; images are computed in float32, which holds integers exactly up to {EXACT_INTEGERS} only. '
                        "Set reader=dict(type=..., dtype='float32') to accept rounding, or divide the values.")
    return array.astype(np.float32)


def common_type(types: Iterable, name: str) -> np.dtype:
    """The type that holds bands of several types of the table.

    Raises:
        DataError: If one holds no real numbers.
    """
    types = {np.dtype(t) for t in types}
    for dtype in types:
        check_real(dtype, name)
    if any(dtype.kind == 'f' for dtype in types):
        return np.dtype('float64' if any(dtype.itemsize > 2 and dtype.kind in 'iu' for dtype in types) else 'float32')
    return np.result_type(*types)
