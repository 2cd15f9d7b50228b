"""Depth files of RGB-D cameras, to metres."""
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.hha import check_depth, check_intrinsics
from decur.registry import READERS

from .files import NpyReader, PillowReader, split_source

#: fx, fy, cx, cy of the colour camera of NYU-Depth v2 at 640x480 (the data set's toolbox), to which its depth is registered.
NYU_INTRINSICS = (518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)
#: Where SUN-RGBD's own toolbox cuts depth off, metres.
SUNRGBD_MAX_DEPTH = 8.0


def unrotate(depth):
    """Undo the bit rotation of SUN-RGBD's depth files.

    Args:
        depth (ndarray): (H, W) uint16 as in the file.

    Returns:
        ndarray: (H, W) float64 metres, cut off at 8 m; 0 missing.
    """
    depth = np.asarray(depth)
    if depth.dtype != np.uint16:
        raise DataError(f'SUN-RGBD depth is uint16, got {depth.dtype}')
    return np.minimum(((depth >> np.uint16(3)) | (depth << np.uint16(13))) / np.float64(1000), SUNRGBD_MAX_DEPTH)


@READERS.register_module()
class DepthReader:
    """Read a depth map as metres, ``(H, W, 1)`` float32, 0 where missing.

    Args:
        unit (float): File values per metre of integer files: 1000 for millimetres (default), 10000 for a tenth. ``.npy`` files of
            floating point are metres.
        rotated (bool): The bits are rotated as in SUN-RGBD's original files (unit is then millimetres). Defaults to False.
    """

    def __init__(self, unit: float = 1000., rotated: bool = False):
        if not unit > 0:
            raise DataError(f'unit must be positive (file values per metre), got {unit}.')
        self.unit, self.rotated = unit, rotated
        self._image, self._npy = PillowReader(), NpyReader()

    def __call__(self, source) -> np.ndarray:
        """Read a source.

        Raises:
            DataError: If the file is no single-channel 16-bit image or floating-point ``.npy``, or its median is no depth in metres.
        """
        return self.metres(source).astype(np.float32)[..., None]

    def metres(self, source) -> np.ndarray:
        """The same as ``(H, W)`` float64: the number that the file means, not the nearest float32 (HHA is rounded from it)."""
        path, window = split_source(source)
        array = self._npy(source) if path.suffix.lower() == '.npy' else self._image(source)
        if array.shape[2] != 1:
            raise DataError(f'{path}: a depth map has one channel, this file has shape {array.shape}; a coloured picture of depth cannot '
                            'be turned back into metres.')
        depth = array[..., 0]
        if depth.dtype.itemsize == 1:
            raise DataError(f'{path} has 8 bits: that is a picture of depth with an unknown scale, not metres. Use the 16-bit depth '
                            'files of the data set.')
        if depth.dtype.kind != 'f':
            depth = unrotate(depth) if self.rotated else depth / np.float64(self.unit)
        # A window of an image need not be typical of it.
        return check_depth(depth, str(path)) if window is None else np.nan_to_num(depth.astype(np.float64), posinf=0, neginf=0)


def read_intrinsics(path):
    """Intrinsics of a data set or an image.

    Args:
        path (str | Path): ``intrinsics.json`` with ``{stem: [fx, fy, cx, cy]}``, or a text file with the nine numbers of one camera matrix
            (as SUN-RGBD's ``intrinsics.txt``) or with four.

    Returns:
        dict | tuple: ``{stem: (fx, fy, cx, cy)}`` of a JSON file, else (fx, fy, cx, cy).

    Raises:
        DataError: If the file is absent, or not of this form.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8')
    except OSError as error:
        raise DataError(f'intrinsics file {path} cannot be read: {error.strerror}.') from error
    try:
        if path.suffix.lower() == '.json':
            content = json.loads(text)
            if not isinstance(content, Mapping):
                raise DataError('expected {stem: [fx, fy, cx, cy]}')
            return {stem: check_intrinsics(value) for stem, value in content.items()}
        numbers = np.array([float(x) for x in text.replace(',', ' ').split()])
        return check_intrinsics(numbers.reshape(3, 3) if numbers.size == 9 else numbers)
    except ValueError as error:  # DataError and JSON errors are ValueErrors
        raise DataError(f'{path}: {error}') from error
