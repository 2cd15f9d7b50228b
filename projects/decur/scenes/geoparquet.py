"""Embeddings of windows as GeoParquet 1.1: a row per window, its outline and its vectors. Needs pyarrow alone."""
import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from decur.errors import ConfigError
from decur.writing import naming, replacing


def check_pyarrow():
    """The modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        ConfigError: If they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("GeoParquet needs pyarrow: pip install 'decur[scenes]'.") from error
    return pyarrow, pyarrow.parquet


def polygon(corners: np.ndarray) -> bytes:
    """Corners ``(4, 2)`` of an outline as a polygon in WKB."""
    ring = np.concatenate([corners, corners[:1]]).astype('<f8')
    return struct.pack('<BIII', 1, 3, 1, len(ring)) + ring.tobytes()


def write_geoparquet(path: Path, crs, dims: Mapping, rows: Iterable, notes: Mapping) -> None:
    """Write windows and their vectors, a row group at a time.

    The columns are ``row`` and ``column`` (of the window's first pixel), ``x`` and ``y`` (of its centre, in the CRS), ``valid`` (share of
    its pixels that no sensor lacks), a list of floats for each modality, and ``geometry``.

    Args:
        path (Path): The file; it appears when it is whole.
        crs (rasterio.crs.CRS): Of the outlines.
        dims (Mapping[str, int]): Length of the vectors by modality.
        rows (Iterable[list[dict]]): Groups of windows: ``row``, ``column``, ``x``, ``y``, ``valid``, ``corners`` (4, 2) and
            ``vectors`` (``{name: (F,)}``).
        notes (Mapping[str, str]): What the file says of itself beside that.
    """
    pa, parquet = check_pyarrow()
    fields = [('row', pa.int32()), ('column', pa.int32()), ('x', pa.float64()), ('y', pa.float64()), ('valid', pa.float32())]
    fields += [(name, pa.list_(pa.float32(), dim)) for name, dim in dims.items()]
    column = dict(encoding='WKB', geometry_types=['Polygon'], crs=crs.to_dict(projjson=True))
    geo = dict(version='1.1.0', primary_column='geometry', columns=dict(geometry=column))
    schema = pa.schema([*fields, ('geometry', pa.binary())], metadata={'geo': json.dumps(geo), **notes})
    with naming(path), replacing(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        for group in rows:
            arrays = [pa.array([one[key] for one in group], kind) for key, kind in fields[:5]]
            for name, dim in dims.items():
                flat = np.concatenate([np.asarray(one['vectors'][name], np.float32) for one in group])
                arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), dim))
            arrays.append(pa.array([polygon(one['corners']) for one in group], pa.binary()))
            writer.write_batch(pa.record_batch(arrays, schema=schema))
