"""Raster files in memory to arrays."""
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from decur.errors import DataError


def read_raster(data: bytes, name: str) -> np.ndarray:
    """A raster file in memory as ``(C, H, W)``.

    Raises:
        DataError: If it cannot be read whole.
    """
    if not data:  # which rasterio takes for a file to be written
        raise DataError(f'{name} is empty. Download or extract it again.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.MemoryFile(data) as memory, memory.open() as raster:
                return raster.read()
    except RasterioError as error:
        # GDAL's own reason is the cause: the error itself only points to it.
        raise DataError(f'{name} cannot be read ({error.__cause__ or error}). Is it complete?') from error


def read_bands(key: str, files: Mapping, bands: Iterable) -> dict:
    """``{band: (h, w)}`` from single-band rasters in memory.

    Raises:
        DataError: If one is missing or cannot be read.
    """
    missing = [band for band in bands if band not in files]
    if missing:
        raise DataError(f'no band {missing}')
    return {band: read_raster(files[band], f'{key}/{band}.tif')[0] for band in bands}
