"""Depth files of RGB-D cameras, to metres."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from decur.errors import ConfigError, DataError
from decur.hha import check_depth, check_intrinsics
from decur.registry import READERS
from decur.writing import read_json

from .base import Reader, split_source
from .files import AutoReader
from .types import check_real

#: fx, fy, cx, cy of the colour camera of NYU-Depth v2 at 640x480 (the data set's toolbox), to which its depth is registered.
NYU_INTRINSICS = (518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)
#: Where SUN-RGBD's own toolbox cuts depth off, metres.
SUNRGBD_MAX_DEPTH = 8.0
#: Values per metre where nothing else is said: millimetres.
DEFAULT_UNIT = 1000.
#: Other units that data sets use, values per metre.
UNITS = (10000., 5000., 4000., 1000., 512., 256., 100.)
#: Metres. Beyond this a file of floating point means "no surface".
FARTHEST = 1000.
#: Metres: the range of a room's median depth, and its least 95th percentile.
ROOM_MEDIAN, ROOM_FAR = (0.3, 15.), 0.6
#: Metres: the range of the median depth of rooms in files whose values are all multiples of 8, after the rotation is undone.
ROTATED_MEDIAN = (0.6, 8.)
#: Valid pixels that an image needs for its distribution to say something.
TELLING = 200


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
class DepthReader(Reader):
    """Read a depth map as metres, ``(H, W, 1)`` float32, 0 where missing.

    Missing are 0, negative values, NaN and infinity, the largest value of an integer type (65535 of 16 bits), what the file's tags say,
    and what the options say. With the defaults of ``unit`` and ``rotated`` the values must be those of a room in millimetres: a file in
    another unit or with rotated bits is told by its values and refused. A value given explicitly is taken at its word.

    Args:
        unit (float, optional): File values per metre of integer files: 1000 for millimetres, 10000 for a tenth, 5000 for TUM RGB-D, 4000
            for Matterport3D, 512 for 2D-3D-S, 256 for KITTI. Files of floating point are metres. Defaults to 1000, checked.
        rotated (bool, optional): The bits are rotated as in SUN-RGBD's original files (the unit is then millimetres). Defaults to False,
            checked.
        missing (float | Sequence[float], optional): More values of the file that mean "missing". Defaults to none.
        max_depth (float, optional): What is farther, in metres, is missing. Defaults to no limit for integer files, and for files of
            floating point to :data:`FARTHEST`, where renderers put what no ray hits.
        nodata (float | str): What missing pixels become, metres, or 'mean' for the modality's mean. Defaults to 0.
    """

    def __init__(self, unit: float | None = None, rotated: bool | None = None, missing: float | Sequence | None = None,
                 max_depth: float | None = None, nodata: float | str = 0.):
        super().__init__(missing=missing, nodata=nodata, dtype='float32')
        for name, value in (('unit', unit), ('max_depth', max_depth)):
            if value is not None and not value > 0:
                raise ConfigError(f'{name} must be positive, got {value}.')
        self.unit, self.rotated, self.max_depth = unit, rotated, max_depth
        self._files = AutoReader(missing=missing)

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        depth = self.metres(source)[..., None]
        return depth, depth == 0

    def metres(self, source) -> np.ndarray:
        """The same as ``(H, W)`` float64, 0 where missing.

        It is the number that the file means, not the nearest float32, since HHA is rounded from it.

        Raises:
            DataError: If the file is no single-channel 16-bit image or floating-point ``.npy``, its values are no depth in this unit, or
                its bits are rotated (or not) against what is said.
        """
        path, window = split_source(source)
        array, missing = self._files.decode(source)
        if array.shape[2] != 1:
            raise DataError(f'{path}: a depth map has one channel, this file has shape {array.shape}; a coloured picture of depth cannot '
                            'be turned back into metres.')
        values = array[..., 0]
        check_real(values.dtype, str(path))
        if values.dtype.itemsize == 1:
            raise DataError(f'{path} has 8 bits: that is a picture of depth with an unknown scale, not metres. Use the 16-bit depth '
                            'files of the data set.')
        gone = np.zeros(values.shape, bool) if missing is None else missing[..., 0]
        if values.dtype.kind == 'f':
            depth = values.astype(np.float64)
            limit = FARTHEST if self.max_depth is None else self.max_depth
        else:
            gone = gone | (values <= 0) | (values == np.iinfo(values.dtype).max)
            if window is None:  # a part of an image need not be typical of it
                self._check_files(values[~gone], str(path))
            depth = unrotate(values) if self.rotated else values / np.float64(self.unit or DEFAULT_UNIT)
            limit = np.inf if self.max_depth is None else self.max_depth
        with np.errstate(invalid='ignore'):
            gone = gone | ~(depth > 0) | ~(depth <= limit)
        depth = np.where(gone, 0., depth)
        return check_depth(depth, str(path)) if window is None else depth

    def _check_files(self, values: np.ndarray, path: str) -> None:
        """Refuse valid values of an integer file that cannot be what the options say."""
        if values.size < TELLING:
            return
        if self.rotated:
            if np.mean(values & 7 != 0) > .5:  # 8.2 m and more, if they were rotated: SUN-RGBD's sensors do not see as far
                raise DataError(f'{path}: rotated=True, but the bits of its values are not rotated. Leave out rotated (--rotated).')
            return
        unit = self.unit or DEFAULT_UNIT
        median, far = np.percentile(values, (50, 95)) / unit
        if self.rotated is None and unit == DEFAULT_UNIT:
            eighth, low, high = median / 8, *ROTATED_MEDIAN
            if low <= eighth <= high and not (values & 7).any() and np.unique(values).size >= 8:
                raise DataError(f'{path}: every value is a multiple of 8 and the median is {median:.3g} m in millimetres, so the bits are '
                                "rotated, as in SUN-RGBD's original files. Say rotated=True (--rotated), or if they are not, "
                                f'unit={unit:g} and rotated=False (--unit {unit:g}).')
        if self.unit is None and not (ROOM_MEDIAN[0] <= median <= ROOM_MEDIAN[1] and far >= ROOM_FAR):
            metres = {known: median * unit / known for known in UNITS}
            fitting = [f'{known:g} ({m:.3g} m)' for known, m in metres.items() if .8 <= m <= 6 and far * unit / known >= ROOM_FAR]
            raise DataError(f'{path}: in millimetres its median depth is {median:.3g} m (95 % are below {far:.3g} m), which is no room. '
                            f'Give the values per metre, unit=... (--unit); {" or ".join(fitting) or "no known unit"} would give a room. '
                            f'With unit={unit:g} it is taken as millimetres.')
        self._check_sentinel(values, path, unit)

    def _check_sentinel(self, values: np.ndarray, path: str, unit: float) -> None:
        """Tell of a largest value that many pixels have and that lies far from all others: it may mean "missing"."""
        largest = values.max()
        others = values[values != largest]
        if others.size and others.size < .98 * values.size and largest > 1.25 * others.max():
            self.warn('sentinel', f'{path}: {100 * (1 - others.size / values.size):.0f} % of its pixels have the value {largest} '
                      f'({largest / unit:.4g} m), and no other is above {others.max() / unit:.4g} m. If it means "missing", say so: '
                      f"reader=dict(type='DepthReader', missing={largest}), or max_depth.")


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
        if path.suffix.lower() == '.json':
            return {stem: check_intrinsics(value) for stem, value in read_json(path).items()}
        numbers = np.array([float(x) for x in path.read_text(encoding='utf-8').replace(',', ' ').split()])
        return check_intrinsics(numbers.reshape(3, 3) if numbers.size == 9 else numbers)
    except (OSError, ValueError) as error:  # DataError and UnicodeDecodeError are ValueErrors
        raise DataError(f'{path} should hold {{stem: [fx, fy, cx, cy]}} (.json), or the numbers of one camera: {error}') from error
