"""Raster files in memory to arrays."""
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from decur.errors import DataError


def read_raster(data: bytes, name: str) -> tuple:
    """A raster file in memory as ``(C, H, W)``, and its nodata tags by band (None where it has none).

    Raises:
        DataError: If it cannot be read whole, or has a mask band, which the store does not keep.
    """
    if not data:  # which rasterio takes for a file to be written
        raise DataError(f'{name} is empty. Download or extract it again.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.MemoryFile(data) as memory, memory.open() as raster:
                if any(flags == [MaskFlags.per_dataset] for flags in raster.mask_flag_enums):
                    raise DataError(f'{name} has a mask band, which the store does not keep. Use the files as they are.')
                return raster.read(), raster.nodatavals
    except RasterioError as error:
        # GDAL's own reason is the cause: the error itself only points to it.
        raise DataError(f'{name} cannot be read ({error.__cause__ or error}). Is it complete?') from error


def read_bands(key: str, files: Mapping, bands: Iterable) -> dict:
    """``{band: (h, w)}`` from single-band rasters in memory; ``{band}.nodata``, a scalar, where a band has a nodata tag.

    Raises:
        DataError: If one is missing or cannot be read.
    """
    missing = [band for band in bands if band not in files]
    if missing:
        raise DataError(f'no band {missing}')
    record = {}
    for band in bands:
        planes, tags = read_raster(files[band], f'{key}/{band}.tif')
        record[band] = planes[0]
        if tags[0] is not None:
            record[f'{band}.nodata'] = np.array(tags[0], np.float64)
    return record
