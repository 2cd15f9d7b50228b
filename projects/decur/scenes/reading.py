"""Rasters of several sensors, read window by window on the grid of one of them.

Rasters whose pixels coincide with those of the reference (the same CRS and pixel size, shifted by whole pixels) are read as they are.
Others are resampled, if that was asked for, by GDAL's warper. It is given what the modality's reader gives, and not the file itself (as a
WarpedVRT would be), so that bands by name, scales and every kind of missing pixel (tags by band, mask bands, ``missing=...`` of an entry)
mean in a scene what they mean in a data set.
"""
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.datasets.georeference import Grid
from decur.errors import ConfigError, DataError, DataWarning, check_choice
from decur.modalities import check_modalities, check_names
from decur.readers import RasterioReader, open_raster
from decur.readers.missing import mask, split
from decur.sensors import band_name
from decur.transforms.loading import ModalityLoader
from decur.transforms.radiometry import InsertEmptyBand

#: GDAL's resampling methods that keep the units of the values.
RESAMPLING = ('nearest', 'bilinear', 'cubic', 'average')
#: Pixels by which grids may differ and still be taken for one.
TOLERANCE = 0.02
#: Readers of data sets whose files a scene is a large one of; :class:`~decur.readers.RasterioReader` takes their place.
_RASTER_READERS = ('AutoReader', 'RasterioReader', 'PillowReader', 'BandReader', 'StoreReader')
#: GDAL keeps decoded blocks in memory, by default up to 5 % of the machine's; bytes.
CACHE = 64 << 20


def read_scene_grid(name: str, path: str | Path) -> Grid:
    """Where a scene lies.

    Raises:
        DataError: If it cannot be read, has no CRS, or no affine transform.
    """
    path = Path(path)
    with open_raster(path) as raster:
        if raster.transform.is_identity:
            points = raster.gcps[0] or raster.rpcs
            raise DataError(f'{name}: {path} ' + (
                'is georeferenced by control points or RPCs only, not by an affine transform: warp it first (gdalwarp -t_srs EPSG:CODE).'
                if points else 'has no georeference: give it one (gdal_translate -a_srs EPSG:CODE -a_ullr ULX ULY LRX LRY), or segment it '
                'as a plain image (--out FOLDER).'))
        if raster.crs is None:
            raise DataError(f'{name}: {path} has a transform but no CRS, so it cannot be said where it lies: gdal_edit.py -a_srs EPSG:CODE '
                            'writes it into the file.')
        return Grid(str(path), raster.crs, raster.transform, raster.height, raster.width)


class Scene:
    """Rasters by modality on the grid of the reference; built by :func:`open_scene`.

    Attributes:
        reference (Grid): CRS, transform and size of the scene.
        names (list[str]): The modalities that are there.
    """

    def __init__(self, reference: Grid, layers: Mapping):
        self.reference, self.layers = reference, dict(layers)
        self.names = list(self.layers)

    @property
    def shape(self) -> tuple:
        """Height and width, pixels of the reference."""
        return self.reference.height, self.reference.width

    def read(self, window: Sequence[int] | None = None) -> dict:
        """The images of a window, as the encoders' transforms and the inferencer's arrays are given to the model.

        Args:
            window (Sequence[int], optional): Row, column, height and width, in pixels of the reference and within it. Defaults to the whole
                scene.

        Returns:
            dict[str, ndarray]: ``(h, w, C)`` by modality, before ``radiometry``; a masked array where pixels are missing.

        Raises:
            DataError: If a file cannot be read, or a window is too large for memory.
        """
        window = (0, 0, *self.shape) if window is None else tuple(window)
        return {name: layer.read(window) for name, layer in self.layers.items()}

    def load(self, window: Sequence[int]) -> tuple:
        """The same with the entries' ``radiometry`` applied and missing pixels filled, and where each sensor lacks something.

        Returns:
            tuple[dict, dict]: ``{name: (h, w, C) array}`` and ``{name: (h, w) bool}``, True where any band is missing.
        """
        images, gone = {}, {}
        for name, image in self.read(window).items():
            layer = self.layers[name]
            absent = np.ma.getmaskarray(image).any(axis=2) if isinstance(image, np.ma.MaskedArray) else np.zeros(image.shape[:2], bool)
            if absent.all():  # steps that take percentiles have nothing to take them of
                images[name] = np.broadcast_to(layer.loader.mean.astype(np.float32), (*image.shape[:2], len(layer.loader.mean)))
            else:
                images[name] = layer.loader.finish(image, f'{layer.path}, window of the scene at row {window[0]}, column {window[1]}')[0]
            gone[name] = absent
        return images, gone


def open_scene(sources: Mapping, modalities: Mapping, resample: str | None = None, reference: str | None = None) -> Scene:
    """Bring the rasters of several sensors onto one grid.

    ::

        encoder = decur.load('decur.pth')
        scene = open_scene(dict(sar='s1.tif', optical='s2.tif'), encoder.modalities, resample='bilinear')
        images = scene.read((0, 0, 224, 224))      # {name: (224, 224, C)}

    Args:
        sources (Mapping[str, str]): A raster by modality; some of the modalities, or all.
        modalities (Mapping[str, dict]): Entries of the model: ``channels``, ``bands``, ``reader``, ``radiometry``, ``mean``.
        resample (str, optional): How rasters that do not lie on the reference's grid are brought there: 'nearest', 'bilinear', 'cubic' or
            'average'. Modalities with ``interpolation='nearest'`` are never interpolated. Defaults to None: they are refused.
        reference (str, optional): The modality whose grid it is. Defaults to the first of ``sources``.

    Raises:
        ConfigError: An unknown modality or method, or a modality whose files are no rasters.
        DataError: A file that cannot be read, has no CRS, has other bands than the entry, does not overlap the reference, or does not
            lie on its grid without ``resample``.
    """
    entries = check_modalities(modalities)
    check_names(sources, entries)
    if not sources:
        raise ConfigError(f'no scene is given: name a raster for at least one of {list(entries)}.')
    if resample is not None:
        check_choice('resample', resample, RESAMPLING)
    reference = reference or next(iter(sources))
    if reference not in sources:
        raise ConfigError(f'the reference {reference!r} is none of the scenes that are given, {list(sources)}.')
    grids = {name: read_scene_grid(name, path) for name, path in sources.items()}
    return Scene(grids[reference], {name: _Layer(name, entries[name], grids[name], grids[reference], resample) for name in entries
                                    if name in sources})


class _Layer:
    """One modality's raster on the grid of the reference."""

    def __init__(self, name: str, entry: Mapping, grid: Grid, reference: Grid, resample: str | None):
        self.path, self.grid, self.reference = grid.path, grid, reference
        self.loader = ModalityLoader(name, dict(entry, reader=_reader_config(name, entry)))
        #: Bands of the file that are read; steps of the radiometry may add others.
        self.bands = entry['channels'] - sum(isinstance(step, InsertEmptyBand) for step in self.loader.radiometry)
        self.loader.reader.bands = _choose_bands(name, entry, self.loader.reader.bands, self.bands, grid.path)
        self.resampling = 'nearest' if resample and entry.get('interpolation') == 'nearest' else resample
        for step in self.loader.radiometry:
            if getattr(step, 'over_image', False):
                warnings.warn(f'modality {name!r}: {type(step).__name__} of its radiometry takes its statistics over each window of '
                              'the scene, in training over each image: give windows the size of the training images.', DataWarning,
                              stacklevel=3)
        #: Rows and columns from the reference's first pixel to this raster's, if their pixels coincide; else it is warped.
        self.offset = _offset(reference, grid)
        self._check_overlap(name)
        if self.offset is None and resample is None:
            raise DataError(f'{name}: {grid.path} does not lie on the grid of {reference.path}: {_difference(reference, grid)}. Ask for '
                            'resampling (--resample bilinear), or warp it onto that grid first (gdalwarp).')
        if self.offset is None:
            self.scale = self._scale()

    def _check_overlap(self, name: str) -> None:
        rows, columns = self._to_pixels(_lattice(0, 0, self.reference.height, self.reference.width))
        inside = np.isfinite(rows) & np.isfinite(columns)
        apart = not inside.any() or rows[inside].max() <= 0 or columns[inside].max() <= 0 or \
            rows[inside].min() >= self.grid.height or columns[inside].min() >= self.grid.width
        if apart:
            raise DataError(f'{name}: {self.grid.path} ({_place(self.grid)}) does not overlap {self.reference.path} '
                            f'({_place(self.reference)}).')

    def _to_pixels(self, points: np.ndarray) -> tuple:
        """Rows and columns in this raster of points ``(N, 2)``, rows and columns in the reference; infinite where there are none."""
        from rasterio.errors import RasterioError
        from rasterio.warp import transform
        x, y = self.reference.transform * (points[:, 1], points[:, 0])
        if self.reference.crs != self.grid.crs:
            try:
                x, y = map(np.array, transform(self.reference.crs, self.grid.crs, x.tolist(), y.tolist()))
            except RasterioError:
                return np.full(len(points), np.inf), np.full(len(points), np.inf)
        columns, rows = ~self.grid.transform * (x, y)
        return rows, columns

    def _scale(self) -> tuple:
        """Pixels of this raster per pixel of the reference at the middle of their overlap, along columns and rows of this raster.

        One number for the whole scene: GDAL's own estimate differs from window to window, and with it the values.
        """
        points = _lattice(0, 0, self.reference.height, self.reference.width, 33)
        rows, columns = self._to_pixels(points)
        with np.errstate(invalid='ignore'):
            good = (rows >= 0) & (rows <= self.grid.height) & (columns >= 0) & (columns <= self.grid.width)
        middle = np.median(points[good], axis=0) if good.any() else points.mean(axis=0)
        rows, columns = self._to_pixels(middle + np.array([(-.5, 0), (.5, 0), (0, -.5), (0, .5)]))
        return (float(np.hypot(columns[1] - columns[0], columns[3] - columns[2])), float(np.hypot(rows[1] - rows[0], rows[3] - rows[2])))

    def read(self, window: Sequence[int]) -> np.ndarray:
        """``(h, w, C)`` before radiometry, masked where pixels are missing or outside of the raster."""
        if self.offset is not None:
            return self._shifted(window)
        return self._warped(window)

    def _part(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self.loader.reader.read(dict(path=self.path, window=(top, left, bottom - top, right - left)))

    def _shifted(self, window: Sequence[int]) -> np.ndarray:
        row, column, height, width = window
        top, left = row - self.offset[0], column - self.offset[1]
        inside = max(top, 0), max(left, 0), min(top + height, self.grid.height), min(left + width, self.grid.width)
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            return self._nothing(height, width)
        part = self._part(*inside)
        if part.shape[:2] == (height, width):
            return part
        values, absent = split(part)
        image, gone = np.zeros((height, width, part.shape[2]), values.dtype), np.ones((height, width, part.shape[2]), bool)
        area = slice(inside[0] - top, inside[2] - top), slice(inside[1] - left, inside[3] - left)
        image[area], gone[area] = values, False if absent is None else absent
        return mask(image, gone)

    def _nothing(self, height: int, width: int) -> np.ndarray:
        shape = height, width, self.bands
        return np.ma.MaskedArray(np.zeros(shape, np.float32), np.ones(shape, bool))

    def _warped(self, window: Sequence[int]) -> np.ndarray:
        from affine import Affine
        row, column, height, width = window
        rows, columns = self._to_pixels(_lattice(row, column, height, width))
        finite = np.isfinite(rows) & np.isfinite(columns)
        if not finite.any():
            return self._nothing(height, width)
        # What the kernel reaches beyond the window, and what the edges bend between the points.
        margin = [int(np.ceil(4 * max(scale, 1))) + 4 for scale in self.scale]
        top, bottom = (int(f(rows[finite])) for f in (np.min, np.max))
        left, right = (int(f(columns[finite])) for f in (np.min, np.max))
        top, bottom = max(top - margin[1], 0), min(bottom + margin[1] + 1, self.grid.height)
        left, right = max(left - margin[0], 0), min(right + margin[0] + 1, self.grid.width)
        if top >= bottom or left >= right:
            return self._nothing(height, width)
        values, absent = split(self._part(top, left, bottom, right))
        values = np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)
        shared = absent is None or bool((absent == absent[..., :1]).all())
        present = np.ones((1 if shared else len(values), *values.shape[1:]), np.uint8)
        if absent is not None:
            present[:] = ~absent.transpose(2, 0, 1)[:len(present)]
            values[absent.transpose(2, 0, 1)] = np.nan
        there = self.grid.transform * Affine.translation(left, top), self.reference.transform * Affine.translation(column, row)
        # A pixel is missing where the nearest one is: interpolation neither spreads nor eats what is missing.
        gone = self._reproject(present, np.zeros((len(present), height, width), np.uint8), there, 'nearest', None) == 0
        out = np.full((len(values), height, width), np.nan, np.float32)
        for bands in [slice(None)] if shared else [slice(i, i + 1) for i in range(len(values))]:  # bands that miss different pixels
            out[bands] = self._reproject(values[bands], out[bands], there, self.resampling, np.nan)
        gone = np.broadcast_to(gone, out.shape) | np.isnan(out)
        return mask(np.where(gone, np.float32(0), out).transpose(1, 2, 0), gone.transpose(1, 2, 0))

    def _reproject(self, source: np.ndarray, target: np.ndarray, transforms: tuple, method: str, nodata) -> np.ndarray:
        from rasterio.enums import Resampling
        from rasterio.warp import reproject
        reproject(source, target, src_transform=transforms[0], src_crs=self.grid.crs, dst_transform=transforms[1],
                  dst_crs=self.reference.crs, src_nodata=nodata, dst_nodata=nodata, resampling=Resampling[method],
                  XSCALE=1 / self.scale[0], YSCALE=1 / self.scale[1])
        return target


def _reader_config(name: str, entry: Mapping) -> dict:
    """The entry's reader as one of rasters.

    Raises:
        ConfigError: If the entry's files are no rasters.
    """
    given = dict(entry.get('reader') or {})
    kind = given.pop('type', 'AutoReader')
    kind = kind if isinstance(kind, str) else kind.__name__
    if kind not in _RASTER_READERS:
        raise ConfigError(f'modality {name!r} is read by {kind}, so its scenes cannot be read as rasters: leave it out.')
    if kind != 'RasterioReader':
        given = {key: value for key, value in given.items() if key in ('missing', 'nodata', 'dtype')}
    return dict(given, type=RasterioReader)


def _choose_bands(name: str, entry: Mapping, asked: Sequence | None, count: int, path: str) -> list | None:
    """The bands that the reader takes from a file: those asked for, or the entry's by name where the file describes them, or all (None).

    Raises:
        DataError: If the file has neither the entry's bands by name nor their number.
    """
    names = entry.get('bands')
    with open_raster(Path(path)) as raster:
        described, found = [band_name(text) if text else '' for text in raster.descriptions], raster.count
    if not asked and names and len(names) == count and all(described.count(band_name(band)) == 1 for band in names):
        asked = list(names)
    if (len(asked) if asked else found) != count:
        wanted = f'{count} bands' + (f' ({", ".join(map(str, names))})' if names else '')
        said = f', described as {[text for text in described if text]}' if any(described) else ' without descriptions'
        raise DataError(f'{name}: {path} has {found} band(s){said}; the model takes {wanted}. Write a file of these bands, describe the '
                        "bands in it, or choose them in the config: reader=dict(type='RasterioReader', bands=[...]).")
    return asked


def _lattice(row: float, column: float, height: float, width: float, count: int = 21) -> np.ndarray:
    """Points ``(N, 2)`` (row, column) spread over a window and its edges."""
    rows, columns = np.meshgrid(np.linspace(row, row + height, count), np.linspace(column, column + width, count), indexing='ij')
    return np.stack([rows.ravel(), columns.ravel()], axis=1)


def _offset(reference: Grid, grid: Grid) -> tuple | None:
    """Rows and columns from the reference's first pixel to another raster's, where their pixels coincide; else None."""
    if reference.crs != grid.crs:
        return None
    found = np.array([~reference.transform * tuple(corner) for corner in grid.corners()])
    offset = np.rint(found[0])
    expected = offset + np.array(((0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)))
    return (int(offset[1]), int(offset[0])) if np.abs(found - expected).max() <= TOLERANCE else None


def _difference(reference: Grid, grid: Grid) -> str:
    """What differs between two grids, in words."""
    if reference.crs != grid.crs:
        return f'it is in {_code(grid.crs)} instead of {_code(reference.crs)}'
    sizes = [(np.hypot(g.transform.a, g.transform.d), np.hypot(g.transform.b, g.transform.e)) for g in (grid, reference)]
    if not np.allclose(*sizes, rtol=1e-5):
        return f'its pixels are {sizes[0][0]:g} x {sizes[0][1]:g} instead of {sizes[1][0]:g} x {sizes[1][1]:g}'
    column, row = ~reference.transform * (grid.transform.c, grid.transform.f)
    column, row = column - np.floor(column), row - np.floor(row)
    if TOLERANCE < column < 1 - TOLERANCE or TOLERANCE < row < 1 - TOLERANCE:
        return f'its pixels lie between those of the other ({column:.2f} of a column, {row:.2f} of a row off)'
    return 'its rows or columns run in another direction'


def _code(crs) -> str:
    code = crs.to_epsg()
    return f'EPSG:{code}' if code else crs.to_string()[:60]


def _place(grid: Grid) -> str:
    low, high = grid.corners().min(axis=0), grid.corners().max(axis=0)
    return f'{_code(grid.crs)}, x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}'
