"""Maps and probabilities as cloud-optimized GeoTIFF, with CRS, colours and the names of classes."""
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from decur.datasets.georeference import Grid
from decur.errors import first_line
from decur.writing import WriteError, naming, write_bytes

#: Side of the blocks of the file, pixels.
BLOCK = 512


@contextmanager
def writing_raster(path: Path) -> Iterator:
    """Errors of GDAL while a raster is written become a :class:`~decur.writing.WriteError` that names it."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    try:
        with naming(path):
            yield
    except (RasterioError, CPLE_BaseError) as error:
        raise WriteError(f'{path} cannot be written ({first_line(error)}). Is the disk full? What was there before is whole.') from error


def write_cog(path: Path, scratch: Path, grid: Grid, parts: Callable, dtype: str, nodata: float, classes: Sequence[str],
              palette: Sequence | None, tags: Mapping) -> None:
    """Write a raster part by part, with overviews.

    With a palette it has one band of class indices: its colours are a colour table (with at most 256 classes), and the names of the classes
    stand in its tags (``class_0``, ...) and, where GDAL and QGIS look for them, in ``<path>.aux.xml``. Without a palette it has a band for
    each class, which is called after it.

    Args:
        path (Path): The file; it appears when it is whole.
        scratch (Path): A folder on the same file system, for what is made on the way.
        grid (Grid): CRS, transform and size.
        parts (Callable): Gives an iterator of ``((row, column), (bands, h, w) array)``; called twice, to write and to compare.
        dtype (str): Of the values.
        nodata (float): The value of pixels without a prediction.
        classes (Sequence[str]): Their names.
        palette (Sequence, optional): Their colours, RGB.
        tags (Mapping[str, str]): Of the file.

    Raises:
        WriteError: If it cannot be written, or does not hold what was written.
    """
    import rasterio
    from rasterio.shutil import copy
    from rasterio.windows import Window
    plain, finished = scratch / 'plain.tif', scratch / 'cog.tif'
    for leftover in (plain, finished):
        leftover.unlink(missing_ok=True)
    count = 1 if palette is not None else len(classes)
    profile = dict(driver='GTiff', width=grid.width, height=grid.height, count=count, dtype=dtype, crs=grid.crs, transform=grid.transform,
                   nodata=nodata, tiled=True, blockxsize=BLOCK, blockysize=BLOCK, BIGTIFF='IF_SAFER')
    with writing_raster(path):
        with rasterio.open(plain, 'w', **profile) as raster:
            raster.update_tags(**tags, **{f'class_{i}': name for i, name in enumerate(classes)})
            if palette is not None:
                raster.set_band_description(1, 'class')
                if len(classes) <= 256:
                    table = {i: (*map(int, colour), 255) for i, colour in enumerate(palette)}
                    raster.write_colormap(1, table | ({255: (0, 0, 0, 0)} if len(classes) <= 255 else {}))
            else:
                for i, name in enumerate(classes):
                    raster.set_band_description(i + 1, name)
            for (row, column), values in parts():
                raster.write(values, window=Window(column, row, values.shape[2], values.shape[1]))
        copy(plain, finished, driver='COG', COMPRESS='DEFLATE', PREDICTOR='STANDARD' if palette is not None else 'FLOATING_POINT',
             BLOCKSIZE=BLOCK, BIGTIFF='IF_SAFER', OVERVIEW_RESAMPLING='NEAREST' if palette is not None else 'AVERAGE')
        plain.unlink()
        with rasterio.open(finished) as raster:  # GDAL tells nobody of blocks that it could not write when it closed the file
            for (row, column), values in parts():
                found = raster.read(window=Window(column, row, values.shape[2], values.shape[1]))
                if not np.array_equal(found, values, equal_nan=values.dtype.kind == 'f'):
                    raise WriteError(f'{path} cannot be written: what is read back at row {row} differs. Is the disk full?')
        if palette is not None:
            names = ''.join(f'<Category>{escape(str(name))}</Category>' for name in classes)
            write_bytes(Path(f'{path}.aux.xml'), ('<PAMDataset><PAMRasterBand band="1"><CategoryNames>' + names +
                                                  '</CategoryNames></PAMRasterBand></PAMDataset>\n').encode())
        finished.replace(path)


def label_type(classes: int) -> tuple:
    """Type of class indices, and the value of pixels without one."""
    return ('uint8', 255) if classes <= 255 else ('uint16', 65535)


def as_labels(scores: np.ndarray, gone: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """``(K, h, w)`` scores to ``(1, h, w)`` class indices, with the nodata value where the result is missing.

    Args:
        scores (ndarray): Of K classes.
        gone (ndarray): ``(h, w)`` bool.
        threshold (float, optional): Of two classes the second is taken where its score is above it. Defaults to the largest score.
    """
    dtype, nodata = label_type(len(scores))
    labels = (scores.argmax(axis=0) if threshold is None else scores[1] > threshold).astype(dtype)
    labels[gone] = nodata
    return labels[None]
