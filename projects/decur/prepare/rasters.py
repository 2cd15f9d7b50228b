"""Raster files in memory to arrays."""
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from decur.errors import DataError

#: The GDAL drivers of released files and of copies of them. Others follow a file to further files of the machine.
_DRIVERS = ['GTiff', 'JP2OpenJPEG', 'PNG']
#: Bytes of the largest raster, decoded; the released ones have at most 4 MB.
LARGEST_RASTER = 128 << 20


def read_raster(data: bytes, name: str, bands: int) -> tuple:
    """A raster file in memory as ``(C, H, W)``, and its nodata tags by band (None where it has none).

    Args:
        data (bytes): The file.
        name (str): What errors call it.
        bands (int): C; GDAL's time grows with the square of what a file claims.

    Raises:
        DataError: If it cannot be read whole, has another number of bands, claims more pixels than any released file has, or has a mask
            band, which the store does not keep.
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
                if any(flags == [MaskFlags.per_dataset] for flags in raster.mask_flag_enums):
                    raise DataError(f'{name} has a mask band, which the store does not keep. Use the files as they are.')
                return raster.read(), raster.nodatavals
    except DataError:
        raise
    except (RasterioError, OSError, ValueError, TypeError) as error:
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
        planes, tags = read_raster(files[band], f'{key}/{band}.tif', 1)
        record[band] = planes[0]
        if tags[0] is not None:
            record[f'{band}.nodata'] = np.array(tags[0], np.float64)
    return record
