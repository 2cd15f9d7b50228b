"""Readers: a source (a path, or a window of one) to an array ``(H, W, C)``.

A reader is chosen by the modality's entry (``reader=dict(type=...)``) or, without one, by the file's suffix. Nothing here scales or
reorders values: what is in the file is what comes out.
"""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.registry import READERS

#: Suffixes that Pillow reads; everything else that is not .npy goes to rasterio.
IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
#: What wider types are read as.
NARROWED = {'float64': 'float32', 'int64': 'int32', 'uint32': 'int32', 'uint64': 'int32'}


def split_source(source) -> tuple:
    """Path and window ``(row, column, height, width)`` of a source; the window is None for a whole file.

    Args:
        source (str | Path | dict): A path, or ``dict(path=..., window=(row, column, height, width))`` in pixels; ``size=(height, width)``
            beside them is what the whole file must have (:class:`RasterioReader` checks it).
    """
    if isinstance(source, Mapping):
        return Path(source['path']), source.get('window')
    return Path(source), None


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f'{path} is a folder, expected a file. Check files=dict(folder=..., suffix=...) of the modality.')
    if not path.is_file():
        raise DataError(f'{path} does not exist.')


def _crop(array: np.ndarray, path: Path, window: Sequence | None) -> np.ndarray:
    if window is None:
        return array
    row, column, height, width = window
    part = array[row:row + height, column:column + width]
    if part.shape[:2] != (height, width):
        raise DataError(f'{path}: window {tuple(window)} leaves the image of {array.shape[0]}x{array.shape[1]} pixels.')
    return part


#: The GDAL drivers that read what a file itself holds. Others (VRT, WMS, GTI, ...) are lists of further files and addresses.
_RASTER_DRIVERS = ('GTiff', 'JP2OpenJPEG', 'HFA', 'ENVI', 'netCDF', 'HDF5', 'AAIGrid', 'PNG', 'JPEG', 'BMP', 'NITF', 'ERS', 'EHdr', 'RMF',
                   'SRTMHGT', 'XYZ', 'GSBG', 'USGSDEM')


def open_raster(path: Path):
    """Open a raster with rasterio, without following it to other files.

    What a file holds decides how GDAL reads it, whatever its suffix: a ``.tif`` may be a virtual raster that names any file of the machine.
    Only a file that is called ``.vrt`` is read as one, and its sources must lie in its folder.

    Raises:
        DataError: If a ``.vrt`` names a file outside its folder.
        RasterioError: If it cannot be read.
    """
    import rasterio
    if path.suffix.lower() != '.vrt':
        with rasterio.Env():
            return rasterio.DatasetReader(str(path), driver=list(_RASTER_DRIVERS))  # rasterio.open takes one driver only
    import xml.etree.ElementTree as ElementTree
    try:
        tree = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise DataError(f'{path} is no virtual raster ({error}).') from error
    folder = path.resolve().parent
    for element in tree.iter():
        computed = element.tag in ('PixelFunctionCode', 'PixelFunctionType')
        if computed or element.get('subClass') in ('VRTRawRasterBand', 'VRTDerivedRasterBand'):
            raise DataError(f'{path} computes its bands ({element.tag}); write it as a GeoTIFF first (gdal_translate).')
        if element.tag in ('SourceFilename', 'SourceDataset'):
            named = (element.text or '').strip()
            inside = named and not named.startswith('/vsi') and '://' not in named and (folder / named).resolve().is_relative_to(folder)
            if not inside:
                raise DataError(f'{path} reads {named!r}, which is not in its folder {folder}; put the files there, or write the mosaic as '
                                'a GeoTIFF (gdal_translate).')
    return rasterio.open(path, driver='VRT')


@READERS.register_module()
class RasterioReader:
    """Read a GeoTIFF (or anything GDAL reads) with rasterio; a window is read without the rest of the file.

    Args:
        bands (Sequence[int], optional): 1-based bands in the order wanted. Defaults to all of the file.
        nodata (float, optional): What the file's no-data pixels become. Defaults to None (kept as they are).
        dtype (str, optional): Convert to this dtype, for example ``'float32'`` for float64 files. Defaults to float32 for
            float64 and to int32 for wider integers, else as in the file.
    """

    def __init__(self, bands: Sequence[int] | None = None, nodata: float | None = None, dtype: str | None = None):
        self.bands = list(bands) if bands else None
        self.nodata = nodata
        self.dtype = dtype

    def __call__(self, source) -> np.ndarray:
        """Read a source.

        Returns:
            ndarray: ``(H, W, C)``.

        Raises:
            DataError: If the file is absent, unreadable, truncated, or has not the bands or the size.
        """
        import warnings

        from rasterio.errors import NotGeoreferencedWarning, RasterioError
        from rasterio.windows import Window
        path, window = split_source(source)
        size = source.get('size') if isinstance(source, Mapping) else None
        _check_file(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', NotGeoreferencedWarning)
                with open_raster(path) as raster:
                    if size is not None and raster.shape != tuple(size):
                        raise DataError(f'{path} has {raster.height}x{raster.width} pixels instead of {size[0]}x{size[1]}.')
                    bands = self.bands or list(raster.indexes)
                    if max(bands) > raster.count:
                        raise DataError(f'{path} has {raster.count} band(s), band {max(bands)} was asked for.')
                    area = None
                    if window is not None:
                        row, column, height, width = window
                        if row < 0 or column < 0 or row + height > raster.height or column + width > raster.width:
                            raise DataError(f'{path}: window {tuple(window)} leaves the image of {raster.height}x{raster.width} pixels.')
                        area = Window(column, row, width, height)
                    array = raster.read(bands, window=area)
                    nodata = raster.nodata
        except RasterioError as error:
            raise DataError(f'{path} cannot be read ({error}). Is it complete? Download or write it again.') from error
        if self.nodata is not None and nodata is not None:
            array = np.where(np.isnan(array) if np.isnan(nodata) else array == nodata, np.asarray(self.nodata, array.dtype), array)
        dtype = self.dtype or NARROWED.get(array.dtype.name)
        return np.ascontiguousarray(array.transpose(1, 2, 0)).astype(dtype or array.dtype, copy=False)


@READERS.register_module()
class PillowReader:
    """Read a PNG or JPEG with Pillow: RGB order, 8 or 16 bit, palette indices as they are.

    Args:
        mode (str, optional): Convert to this Pillow mode first (``'RGB'``, ``'L'``). Defaults to None: as stored, palettes as indices.
    """

    def __init__(self, mode: str | None = None):
        self.mode = mode

    def __call__(self, source) -> np.ndarray:
        """Read a source as ``(H, W, C)``; uint8, or uint16 for 16-bit files.

        Raises:
            DataError: If the file is absent, truncated or no image.
        """
        from PIL import Image
        path, window = split_source(source)
        _check_file(path)
        try:
            with Image.open(path) as image:
                image.load()
                array = np.asarray(image.convert(self.mode) if self.mode else image)
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f'{path} cannot be read as an image ({error}). Is it complete? Download or write it again.') from error
        if array.dtype == bool:
            array = array.astype(np.uint8)
        if array.dtype == np.int32:  # Pillow's mode I is how older versions return 16-bit files
            array = array.astype(np.uint16)
        array = array[..., None] if array.ndim == 2 else array
        return np.ascontiguousarray(_crop(array, path, window))


@READERS.register_module()
class NpyReader:
    """Read a ``.npy`` file, ``(H, W)`` or ``(H, W, C)`` (or ``(C, H, W)`` with ``channels_first``), memory-mapped; pickles are refused.

    Args:
        channels_first (bool): The file is ``(C, H, W)``. Defaults to False.
    """

    def __init__(self, channels_first: bool = False):
        self.channels_first = channels_first

    def __call__(self, source) -> np.ndarray:
        """Read a source as ``(H, W, C)``.

        Raises:
            DataError: If the file is absent, truncated, holds objects, or has not two or three axes.
        """
        path, window = split_source(source)
        _check_file(path)
        try:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f'{path} cannot be read as .npy ({error}).') from error
        if array.ndim == 3 and self.channels_first:
            array = array.transpose(1, 2, 0)
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3:
            raise DataError(f'{path} has shape {array.shape}, expected (H, W) or (H, W, C).')
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        return np.ascontiguousarray(_crop(array, path, window))


@READERS.register_module()
class AutoReader:
    """Choose the reader by the source: the compact store, or by the file's suffix Pillow, NumPy for ``.npy``, rasterio for the rest."""

    def __init__(self):
        self._pillow, self._npy, self._rasterio = PillowReader(), NpyReader(), RasterioReader()

    def __call__(self, source) -> np.ndarray:
        """Read a source as ``(H, W, C)``."""
        if isinstance(source, Mapping) and 'store' in source:
            return READERS.get('StoreReader')()(source)
        suffix = split_source(source)[0].suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            return self._pillow(source)
        return self._npy(source) if suffix == '.npy' else self._rasterio(source)


def build_reader(cfg: Mapping | None):
    """The reader of an entry: its ``reader`` config, or :class:`AutoReader`."""
    cfg = dict(cfg or dict(type='AutoReader'))
    reader = READERS.get(cfg.pop('type'))
    if reader is None:
        raise DataError(f'unknown reader; registered: {sorted(READERS.module_dict)}.')
    return reader(**cfg)


def read_size(source) -> tuple:
    """Height and width of a source without decoding its pixels.

    Raises:
        DataError: If the file is absent or unreadable.
    """
    path, window = split_source(source)
    if window is not None:
        return tuple(window[2:])
    _check_file(path)
    suffix = path.suffix.lower()
    if suffix == '.npy':
        return NpyReader()(source).shape[:2]
    try:
        if suffix in IMAGE_SUFFIXES:
            from PIL import Image
            with Image.open(path) as image:
                return image.height, image.width
        with open_raster(path) as raster:
            return raster.height, raster.width
    except (OSError, ValueError) as error:  # RasterioIOError is an OSError
        raise DataError(f'{path} cannot be read ({error}). Is it complete?') from error
