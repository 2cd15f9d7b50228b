"""Whether the rasters of a sample show the same ground, pixel on pixel, as far as they are georeferenced."""
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from decur.errors import DataError, check_choice
from decur.readers import IMAGE_SUFFIXES, open_raster

#: Pixels (of the coarser raster) from which a difference is an error, and from which it is said.
ERROR, WARNING = 0.5, 0.05


class Grid(NamedTuple):
    """Where a raster lies: its CRS (or None), the affine transform from (column, row) to map coordinates, and its size in pixels."""

    path: str
    crs: Any
    transform: Any
    height: int
    width: int

    def corners(self) -> np.ndarray:
        """Map coordinates of the outer corners, ``(4, 2)``: upper left, upper right, lower right, lower left."""
        pixels = ((0, 0), (self.width, 0), (self.width, self.height), (0, self.height))
        return np.array([self.transform * corner for corner in pixels])


@lru_cache(maxsize=4096)
def read_grid(path: str) -> Grid | None:
    """Where a raster lies, by its header; None where it has no georeference or cannot be opened (its reader says so)."""
    if Path(path).suffix.lower() in (*IMAGE_SUFFIXES, '.npy'):
        return None
    try:
        with open_raster(Path(path)) as raster:
            if raster.transform.is_identity:
                return None
            return Grid(path, raster.crs, raster.transform, raster.height, raster.width)
    except DataError:
        return None


def compare(reference: Grid, other: Grid) -> tuple:
    """How far two rasters lie apart.

    The four corners are compared, so a shift, another extent, a rotation and rows in another order all count, and rasters of other
    resolution but the same extent do not differ. Corners in another CRS are transformed first.

    Returns:
        tuple[float, str]: The largest distance of two corners along rows or columns, in pixels of the coarser raster (infinite where the
        CRS have nothing to do with each other), and what differs, in words.
    """
    corners, words = other.corners(), []
    if reference.crs and other.crs and reference.crs != other.crs:
        words.append(f'it is in {_name(other.crs)} instead of {_name(reference.crs)}')
        corners = _transform(other.crs, reference.crs, corners)
    if not np.isfinite(corners).all():
        return np.inf, ' and '.join(words)
    found = np.array([~reference.transform * tuple(corner) for corner in corners])
    expected = np.array(((0, 0), (reference.width, 0), (reference.width, reference.height), (0, reference.height)))
    away = found - expected  # columns and rows of the reference
    coarser = np.maximum(1, (reference.width / other.width, reference.height / other.height))
    pixels = float(np.abs(away / coarser).max())
    if pixels <= WARNING:
        return pixels, ' and '.join(words)
    size = abs(reference.transform.a) if reference.transform.b == 0 else np.hypot(reference.transform.a, reference.transform.d)
    unit = ' m' if reference.crs and reference.crs.is_projected else ''
    if np.ptp(away, axis=0).max() < .1:
        column, row = away.mean(axis=0)
        words.append(f'it is shifted by {column:.1f} columns and {row:.1f} rows ({np.hypot(column, row) * size:g}{unit})')
    elif (found[3, 1] - found[0, 1]) < 0:
        words.append('its rows run in the other direction, from south to north' if reference.transform.e < 0 else
                     'its rows run in the other direction')
    else:
        words.append(f'it has another extent: its corners are up to {np.abs(away).max():.1f} pixels away')
    return pixels, ' and '.join(words)


def _name(crs) -> str:
    code = crs.to_epsg()
    return f'EPSG:{code}' if code else crs.to_string()[:60]


def _transform(source, target, points: np.ndarray) -> np.ndarray:
    from rasterio.errors import RasterioError
    from rasterio.warp import transform
    try:
        return np.array(transform(source, target, *points.T.tolist())).T
    except RasterioError:
        return np.full(points.shape, np.inf)


class GeoreferenceCheck:
    """Compare the rasters of a sample with its first one; each set of files is looked at once.

    Args:
        mode (str): ``'check'``: a difference of more than half a pixel of the coarser raster is an error, a smaller one is logged, once for
            each modality. ``'warn'``: every difference is logged so. ``'ignore'``: nothing is looked at.
    """

    def __init__(self, mode: str):
        self.mode = check_choice('georeference', mode, ('check', 'warn', 'ignore'))
        self._seen: set = set()
        self._told: set = set()

    def __call__(self, sample_id: str, paths: Mapping) -> None:
        """Check a sample.

        Args:
            sample_id (str): Its id, for errors.
            paths (dict[str, str]): Files by modality.

        Raises:
            DataError: If they do not show the same ground.
        """
        key = hash(tuple(paths.values()))
        if self.mode == 'ignore' or len(paths) < 2 or key in self._seen:
            return
        grids = {name: grid for name, grid in ((name, read_grid(path)) for name, path in paths.items()) if grid}
        names = iter(grids)
        first = next(names, None)
        for name in names:
            pixels, words = compare(grids[first], grids[name])
            if not words:
                continue
            where = f'sample {sample_id!r}: {grids[name].path} does not lie on {grids[first].path}: {words}'
            if pixels > ERROR + 1e-3 and self.mode == 'check':
                raise DataError(f"{where}. Warp it onto the other's grid (gdalwarp), or set georeference='ignore' if the files are wrong "
                                'about themselves.')
            if name not in self._told:
                self._told.add(name)
                print_log(f'{where}, {pixels:.2f} pixels; taken as it is (other samples are not mentioned)', logger='current', level=30)
        self._seen.add(key)
