"""GeoTIFF, JPEG 2000, virtual rasters and what else GDAL reads, with rasterio."""
import struct
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from decur.errors import ConfigError, DataError
from decur.registry import READERS
from decur.sensors import band_name

from . import missing as missing_pixels
from .base import Reader, check_file, check_memory, check_window, source_name, split_source
from .pictures import check_png
from .store import StoreReader
from .types import check_real, common_type

#: The GDAL drivers that read what a file itself holds. Others (VRT, WMS, GTI, ...) are lists of further files and addresses.
_DRIVERS = ('GTiff', 'JP2OpenJPEG', 'HFA', 'ENVI', 'netCDF', 'AAIGrid', 'PNG', 'JPEG', 'BMP', 'NITF', 'EHdr', 'RMF', 'SRTMHGT', 'XYZ',
            'GSBG', 'USGSDEM')
#: Of these, the drivers whose files may name others that hold their values.
_DRIVERS_WITH_PARTS = ('HFA', 'ENVI', 'netCDF', 'NITF', 'EHdr', 'RMF')
_HDF5 = b'\x89HDF\r\n\x1a\n'
#: Tags of a TIFF: how its rows and columns are turned; GDAL's for missing values.
_ORIENTATION, _NODATA = 274, 42113
#: More bands than this are not read at once: GDAL's time grows with their square.
MAX_BANDS = 4096
#: Bytes of the largest virtual raster that is parsed.
_MAX_VRT = 64 << 20


@contextmanager
def open_raster(path: Path):
    """Open a raster with rasterio, without following it to other files.

    What a file holds decides how GDAL reads it, whatever its suffix: a ``.tif`` may be a virtual raster that names any file of the machine.
    Only a file that is called ``.vrt`` is read as one, and its sources must lie in its folder. HDF5 (and netCDF 4), whose arrays may lie in
    any file, is not read. The name is always that of a file, never one of GDAL's (``/vsicurl/...``, ``NETCDF:...``).

    Raises:
        DataError: If it cannot be read, names a file outside its folder, holds several images, or is turned by its orientation.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    check_file(path)
    name = str(path.absolute())  # so that GDAL takes no file for one of its own names
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.Env():
                if path.suffix.lower() == '.vrt':
                    _check_virtual(path)
                    raster = rasterio.open(name, driver='VRT')
                else:
                    _check_no_hdf5(path)
                    raster = rasterio.DatasetReader(name, driver=list(_DRIVERS))  # rasterio.open takes one driver only
                with raster:
                    _check_one_image(path, raster)
                    yield raster
    except (RasterioError, OSError, UnicodeDecodeError) as error:
        raise DataError(f'{path} cannot be read ({error}). Is it complete? Download or write it again.') from error


def _check_no_hdf5(path: Path) -> None:
    with open(path, 'rb') as file:
        if file.read(len(_HDF5)) == _HDF5:
            raise DataError(f'{path} is HDF5 (or netCDF 4), whose arrays may lie in other files: write the array as a GeoTIFF '
                            '(gdal_translate), or as .npy.')


def _check_one_image(path: Path, raster) -> None:
    """Refuse a file of which only a part would be read, that lies elsewhere, or whose rows GDAL does not turn as it says."""
    if raster.driver in _DRIVERS_WITH_PARTS:
        folder = path.resolve().parent
        elsewhere = [name for name in raster.files if not Path(name).resolve().is_relative_to(folder)]
        if elsewhere and len(elsewhere) < len(raster.files):
            raise DataError(f'{path} reads {elsewhere[0]!r}, which is not in its folder {folder}; put the files there.')
    parts = raster.subdatasets
    if len(parts) > 1 or not raster.count:
        raise DataError(f'{path} holds {len(parts)} images (pages or variables), of which one at most would be read: write the one that is '
                        f'meant as a GeoTIFF{f" (gdal_translate {parts[0]} OUT.tif)" if parts else ""}.')
    if raster.driver == 'GTiff':
        order, tag = _tiff_tag(path, _ORIENTATION)
        orientation = struct.unpack(order + 'H', tag[:2])[0] if len(tag) >= 2 else 1
        if orientation not in (0, 1):
            raise DataError(f'{path} is turned or mirrored by its orientation tag ({orientation}), which GDAL does not apply: write it '
                            'upright, with the orientation 1.')


def _check_virtual(path: Path) -> None:
    import xml.etree.ElementTree as ElementTree
    if path.stat().st_size > _MAX_VRT:
        raise DataError(f'{path} has {path.stat().st_size} bytes, which is no virtual raster.')
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


@READERS.register_module()
class RasterioReader(Reader):
    """Read a GeoTIFF (or anything GDAL reads) with rasterio, or what a compact store keeps of one; a window is read without the rest.

    Missing pixels are those that the file says, band by band: its nodata tags, its mask bands (internal or ``.msk``), and a transparent
    alpha band where the alpha band itself is not among ``bands``.

    Args:
        bands (Sequence[int | str], optional): 1-based bands in the order wanted, or their descriptions (``'B8A'``, ``'vv'``). Defaults to
            all of the file.
        scaled (bool, optional): Apply the scale and offset that the file gives (float32). Defaults to None: raw values, and a warning
            where the file has such tags; False is without the warning.
        names (Sequence[str], optional): What the bands should be; an error where the file's descriptions say that they are in another
            order. :class:`~decur.transforms.LoadModalities` hands the entry's ``bands`` over.
        **kwargs: ``missing``, ``nodata`` and ``dtype``, as :class:`~decur.readers.base.Reader`.
    """

    def __init__(self, bands: Sequence[int | str] | None = None, scaled: bool | None = None, names: Sequence[str] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.bands = list(bands) if bands else None
        if any(not isinstance(band, str) and (isinstance(band, bool) or int(band) != band or band < 1) for band in self.bands or ()):
            raise ConfigError(f'bands must be numbers from 1, or descriptions, got {self.bands}.')
        self.scaled = scaled
        self.names = tuple(names) if names else None
        self._store = StoreReader(**kwargs)

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        if isinstance(source, Mapping) and 'store' in source:
            return self._stored(source)
        path, window = split_source(source)
        size = source.get('size') if isinstance(source, Mapping) else None
        check_file(path)
        check_png(path)
        with open_raster(path) as raster:
            if size is not None and raster.shape != tuple(size):
                raise DataError(f'{path} has {raster.height}x{raster.width} pixels instead of {size[0]}x{size[1]}.')
            if raster.driver in ('JPEG', 'PNG') and raster.tags().get('EXIF_Orientation', '1').strip() not in ('1', '0', ''):
                raise DataError(f"{path} is turned by EXIF, which GDAL does not apply: use reader=dict(type='PillowReader').")
            bands = self._choose(path, raster, source if isinstance(source, Mapping) else {})
            check_window(path, raster.shape, window)
            height, width = window[2:] if window is not None else raster.shape
            types = [raster.dtypes[band - 1] for band in bands]
            dtype = self._type(path, types)
            check_memory(path, height, width, len(bands), dtype.itemsize)
            # What is decoded at least: a block, of all bands where they are interleaved.
            check_memory(path, *map(max, zip(*(raster.block_shapes[band - 1] for band in bands))),
                         raster.count if str(raster.profile.get('interleave')) == 'pixel' else 1, dtype.itemsize)
            array, missing = self._pixels(path, raster, bands, window, (height, width), dtype)
            missing = self.mark(array, missing)
            array = self._scale(path, raster, bands, array)
        return array.transpose(1, 2, 0), None if missing is None else missing.transpose(1, 2, 0)

    def _stored(self, source: Mapping) -> tuple:
        """The bands of a raster that a compact store keeps: all values of the file, without its descriptions and scales."""
        values, missing = self._store.decode(source)
        bands = self.bands or range(1, values.shape[2] + 1)
        wrong = next((band for band in bands if isinstance(band, str) or band > values.shape[2]), None)
        if wrong is not None or self.scaled:
            what = 'scaled=True' if wrong is None else f'band {wrong!r}'
            raise DataError(f'{source_name(source)} has {values.shape[2]} band(s) without descriptions and scales, as a store keeps them, '
                            f'but {what} was asked for: number the bands from 1, and give raw values.')
        chosen = [band - 1 for band in bands]
        return values[..., chosen], None if missing is None else missing[..., chosen]

    def _choose(self, path: Path, raster, source: Mapping) -> list:
        """1-based numbers of the bands to read (the source's before the reader's), checked against what the file calls them."""
        if 'bands' in source and raster.count != source['num_bands']:
            raise DataError(f'{path} has {raster.count} band(s) instead of {source["num_bands"]}, those of all dates. Correct dates of the '
                            'data set, or channels of the entry (those of one date).')
        described = [band_name(text) if text else '' for text in raster.descriptions]
        bands = []
        for band in source.get('bands') or self.bands or raster.indexes:
            if isinstance(band, str):
                if described.count(band_name(band)) != 1:
                    raise DataError(f'{path}: no band, or more than one, is described as {band!r}; its descriptions are {described}.')
                band = described.index(band_name(band)) + 1
            if band > raster.count:
                raise DataError(f'{path} has {raster.count} band(s), band {band} was asked for.')
            bands.append(int(band))
        if len(bands) > MAX_BANDS:
            raise DataError(f'{path} claims {len(bands)} bands; at most {MAX_BANDS} are read. Choose some with reader=dict(bands=[...]).')
        if self.names and len(self.names) == len(bands):
            found, wanted = [described[band - 1] for band in bands], [band_name(name) for name in self.names]
            if any(name != text and (name in described or text in wanted) for name, text in zip(wanted, found) if text):
                raise DataError(f'{path} describes its bands as {tuple(raster.descriptions[band - 1] for band in bands)}, the entry says '
                                f'bands={self.names}. Correct bands, or read them by name: '
                                f"reader=dict(type='RasterioReader', bands={list(self.names)}).")
        return bands

    @staticmethod
    def _type(path: Path, types: Sequence[str]) -> np.dtype:
        if any(name.startswith('complex') for name in types):
            check_real(np.dtype('complex64'), str(path))
        return np.dtype(types[0]) if len(set(types)) == 1 else common_type(types, str(path))

    def _pixels(self, path: Path, raster, bands: Sequence, window, size: Sequence, dtype: np.dtype) -> tuple:
        """``(C, H, W)`` values and where the file says that they are missing."""
        from rasterio.enums import MaskFlags
        from rasterio.windows import Window
        area = None if window is None else Window(window[1], window[0], window[3], window[2])
        own = len({raster.dtypes[band - 1] for band in bands}) == 1
        if own:
            array = raster.read(bands, window=area)
        else:  # one by one: values and tags are compared in the type of their band
            array = np.empty((len(bands), *size), dtype)
        missing = np.zeros(array.shape, bool)
        alpha = [i + 1 for i, kind in enumerate(raster.colorinterp) if kind.name == 'alpha']
        tags, flags_of = raster.nodatavals, raster.mask_flag_enums
        if raster.driver == 'GTiff' and tags[0] is None and array.dtype.kind in 'iu':
            tags = [tiff_nodata(path)] * raster.count  # GDAL keeps to itself what the type cannot hold
        shared = None
        for i, band in enumerate(bands):
            plane = array[i] if own else raster.read(band, window=area)
            tag, flags = tags[band - 1], flags_of[band - 1]
            if tag is not None:
                missing[i] |= missing_pixels.equals(plane, tag)
                if not missing_pixels.holds(plane.dtype, tag):
                    self.warn('tag', f'{path}: its nodata tag {tag:g} cannot occur in {plane.dtype}, so nothing is missing by it. If '
                              'another value means "missing", say so: reader=dict(..., missing=value).')
            if MaskFlags.per_dataset in flags and band not in alpha and not (MaskFlags.alpha in flags and set(alpha) & set(bands)):
                shared = raster.read_masks(band, window=area) == 0 if shared is None else shared
                missing[i] |= shared
            if not own:
                array[i] = np.where(missing[i], 0, plane)
        return array, missing if missing.any() else None

    def _scale(self, path: Path, raster, bands: Sequence, array: np.ndarray) -> np.ndarray:
        scales, offsets = ([values[band - 1] for band in bands] for values in (raster.scales, raster.offsets))
        if all(scale == 1 for scale in scales) and not any(offsets):
            return array
        if self.scaled is None:
            self.warn('scale', f'{path} gives its bands a scale of {scales[0]:g} and an offset of {offsets[0]:g}; the raw values are read. '
                      "Use reader=dict(type='RasterioReader', scaled=True) to apply them, or scaled=False for raw values without this "
                      'warning.')
        if not self.scaled:
            return array
        columns = [np.array(values, np.float64)[:, None, None] for values in (scales, offsets)]
        return array * columns[0] + columns[1]


def _tiff_tag(path: Path, wanted: int) -> tuple:
    """The byte order of a TIFF and the first 64 bytes of one of its tags; empty where it has no such tag."""
    with open(path, 'rb') as file:
        head = file.read(16)
        order = {b'II': '<', b'MM': '>'}.get(head[:2])
        if order is None or len(head) < 16:
            return '<', b''
        big = struct.unpack(order + 'H', head[2:4])[0] == 43
        file.seek(struct.unpack(order + ('Q' if big else 'I'), head[8:16] if big else head[4:8])[0])
        number, entry = (order + 'Q', order + 'HHQ8s') if big else (order + 'H', order + 'HHI4s')
        found = file.read(struct.calcsize(number))
        entries = file.read(struct.unpack(number, found)[0] * struct.calcsize(entry)) if len(found) == struct.calcsize(number) else b''
        for tag, kind, count, value in struct.iter_unpack(entry, entries[:len(entries) // struct.calcsize(entry) * struct.calcsize(entry)]):
            if tag == wanted:
                length = count * {3: 2, 4: 4}.get(kind, 1)
                if length > len(value):
                    file.seek(struct.unpack(order + ('Q' if big else 'I'), value)[0])
                    value = file.read(min(length, 64))
                return order, value[:length]
    return order, b''


def tiff_nodata(path: Path) -> float | None:
    """The nodata tag of a TIFF as it is written, whether or not its type can hold it; None where there is none."""
    try:
        return float(_tiff_tag(path, _NODATA)[1].split(b'\0')[0])
    except ValueError:
        return None
