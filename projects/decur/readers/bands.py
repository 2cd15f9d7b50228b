"""Images whose bands lie in files, or store records, of their own, each at its native resolution."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from decur.errors import DataError
from decur.registry import READERS

from .files import RasterioReader
from .store import read_record
from .zarr_archives import read_bands


def stack_bands(bands: Sequence, size: Sequence) -> np.ndarray:
    """Resize bands to one size (bilinear, as the published loaders do) and stack them.

    Args:
        bands (Sequence[ndarray]): ``(h, w)`` each, of one type.
        size (Sequence[int]): Height and width, pixels. Patches with an extra row or column are resized too.

    Returns:
        ndarray: ``(H, W, C)``, planar in memory.
    """
    out = np.empty((len(bands), *size), bands[0].dtype)
    for band, target in zip(bands, out):
        if band.shape == tuple(size):
            target[...] = band
        else:
            cv2.resize(np.ascontiguousarray(band), tuple(size[::-1]), dst=target, interpolation=cv2.INTER_LINEAR)
    return out.transpose(1, 2, 0)


@READERS.register_module()
class BandReader:
    """Read an image band by band, from single-band rasters, from the compact store or from a zarr archive.

    A source is ``dict(folder=..., pattern='{band}.tif')``, ``dict(zarr=archive, sample=i, time=j)``, or ``dict(store=folder, key=key)``,
    which gives the arrays of what the store was made of. float16 is read as float32 (exactly the same values).

    Args:
        bands (Sequence[str]): Names of the bands, in the order of the channels.
        size (int | tuple[int]): Height and width to which every band is resized, pixels.
    """

    def __init__(self, bands: Sequence, size: int | Sequence):
        self.bands = tuple(bands)
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self._raster = RasterioReader()

    def native(self, source: Mapping) -> dict:
        """The bands as they are stored, ``{name: (h, w) array}``.

        Raises:
            DataError: If a band is missing or cannot be read.
        """
        if 'store' in source or 'zarr' in source:
            if 'store' in source:
                record, name = read_record(source['store'], source['key']), f'{source["store"]}: record {source["key"]!r}'
            else:
                record, name = read_bands(source['zarr'], source['sample'], source['time']), source['zarr']
            missing = [band for band in self.bands if band not in record]
            if missing:
                raise DataError(f'{name} has no band {missing}; it has {sorted(record)}.')
            bands = {band: record[band] for band in self.bands}
            return {band: plane.astype(np.float32) if plane.dtype == np.float16 else plane for band, plane in bands.items()}
        folder, pattern = Path(source['folder']), source.get('pattern', '{band}.tif')
        return {band: self._raster(folder / pattern.format(band=band))[..., 0] for band in self.bands}

    def __call__(self, source: Mapping) -> np.ndarray:
        """Read a source as ``(H, W, C)``."""
        return stack_bands(list(self.native(source).values()), self.size)
