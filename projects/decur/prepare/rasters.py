"""Raster files in memory to arrays."""
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from decur.errors import DataError

#: The GDAL drivers of released files. Others follow a file to further files of the machine.
_DRIVERS = ['GTiff', 'JP2OpenJPEG']
#: Bytes of the largest raster, decoded; the released ones have at most 4 MB.
LARGEST_RASTER = 128 << 20


def read_raster(data: bytes, name: str, bands: int) -> np.ndarray:
    """A raster file in memory as ``(C, H, W)``.

    Args:
        data (bytes): The file.
        name (str): What errors call it.
        bands (int): C; GDAL's time grows with the square of what a file claims.

    Raises:
        DataError: If it cannot be read whole, has another number of bands, or claims more pixels than any released file has.
    """
    if not data:  # which rasterio takes for a file to be written
        raise DataError(f'{name} is empty. Download or extract it again.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.MemoryFile(data) as memory, memory.open(driver=_DRIVERS) as raster:
                if raster.count != bands:
                    raise DataError(f'{name} has {raster.count} bands instead of {bands}. Is it the released file?')
                pixels = max(raster.height * raster.width, *(rows * columns for rows, columns in raster.block_shapes))
                if pixels * bands * max(np.dtype(kind).itemsize for kind in raster.dtypes) > LARGEST_RASTER:
                    raise DataError(f'{name} claims {raster.height}x{raster.width} pixels, more than any released file has. Is it damaged?')
                return raster.read()
    except (RasterioError, OSError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
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
    return {band: read_raster(files[band], f'{key}/{band}.tif', 1)[0] for band in bands}
