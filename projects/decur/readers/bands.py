"""Images whose bands are separate files, or arrays of a record or an archive, each at its native resolution."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decur.errors import DataError
from decur.registry import READERS
from decur.resizing import resize_missing, resize_plane

from .base import Reader, source_name
from .missing import equals, mask, split
from .rasters import RasterioReader
from .shards import read_member
from .store import read_record
from .types import common_type, convert
from .zarr_archives import read_bands


def stack_bands(bands: Sequence, size: Sequence) -> np.ndarray:
    """Resize bands to one size (bilinear, as the published loaders do) and stack them.

    Args:
        bands (Sequence[ndarray]): ``(h, w)`` each; masked arrays where values are missing. Of several types the narrowest that holds all.
        size (Sequence[int]): Height and width, pixels. Patches with an extra row or column are resized too.

    Returns:
        ndarray: ``(H, W, C)``, planar in memory; a masked array where values are missing.

    Raises:
        DataError: If a band holds no real numbers.
    """
    dtype = common_type((band.dtype for band in bands), 'a band')
    out = np.empty((len(bands), *size), dtype)
    gone = np.zeros(out.shape, bool)
    for band, target, missing in zip(bands, out, gone):
        values, absent = split(band)
        values = values.astype(dtype, copy=False)
        target[...] = resize_plane(values, size, 'bilinear', absent)
        if absent is not None:
            missing[...] = resize_missing(absent[..., None], size)[..., 0]
    return mask(out, gone).transpose(1, 2, 0)


@READERS.register_module()
class BandReader(Reader):
    """Read an image band by band, from single-band rasters, from the compact store or from a zarr archive.

    A source is ``dict(folder=..., pattern='{band}.tif')``, ``dict(zarr=archive, sample=i, time=j)``, a member of a tar shard
    (:func:`~decur.readers.shards.read_member`), or ``dict(store=folder, key=key)``, which gives the arrays of what the store was made of.

    Args:
        bands (Sequence[str]): Names of the bands, in the order of the channels.
        size (int | tuple[int]): Height and width to which every band is resized, pixels.
        **kwargs: ``missing``, ``nodata`` and ``dtype``, as :class:`~decur.readers.base.Reader`.
    """

    def __init__(self, bands: Sequence, size: int | Sequence, **kwargs):
        super().__init__(**kwargs)
        self.bands = tuple(bands)
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self._raster = RasterioReader(missing=kwargs.get('missing'), scaled=False)

    def native(self, source: Mapping) -> dict:
        """The bands at their own resolution and in their own type, ``{name: (h, w) array}``, masked where values are missing.

        Raises:
            DataError: If a band is absent or cannot be read.
        """
        if 'folder' in source:
            folder, pattern = Path(source['folder']), source.get('pattern', '{band}.tif')
            return {band: self._raster(folder / pattern.format(band=band))[..., 0] for band in self.bands}
        if 'store' in source:
            record = read_record(source['store'], source['key'])
        elif 'tar' in source:
            record = read_member(source)
            if len(record) == len(self.bands) == 1:  # elevation and the like: the one band, whatever its name
                record = dict(zip(self.bands, record.values()))
        else:
            record = read_bands(source['zarr'], source['sample'], source['time'])
        absent = [band for band in self.bands if band not in record]
        if absent:
            raise DataError(f'{source_name(source)} has no band {absent}; it has {sorted(k for k in record if not k.endswith(".nodata"))}.')
        bands = {}
        for band in self.bands:
            plane, tag = record[band], record.get(f'{band}.nodata')  # the file's tag, which the store keeps
            bands[band] = mask(plane, self.mark(plane, None if tag is None else equals(plane, tag.item())))
        return bands

    def decode(self, source: Mapping) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        name, bands = source_name(source), []
        for band, plane in self.native(source).items():
            values, missing = split(plane)
            bands.append(mask(convert(values, f'{name}: band {band!r}', missing=missing), missing))
        return split(stack_bands(bands, self.size))
