"""Embeddings of a whole scene: one vector per window, as rasters with a georeference and as GeoParquet."""
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import ConfigError, DataError, WeightsError
from ..modalities import check_finite_rows
from ..scenes.cog import writing_raster
from ..scenes.geoparquet import check_pyarrow, write_geoparquet
from ..scenes.reading import CACHE, open_scene
from ..version import __version__
from ..weights import load_file, save_file
from ..writing import output_folder, replacing
from .features import digest, kept_parts
from .load import LoadedEncoder


@torch.inference_mode()
def extract_scene_features(encoder: LoadedEncoder, sources: Mapping, out: str | Path, window: int = 224, stride: int | None = None,
                           size: Sequence[int] | None = None, batch_size: int = 8, min_valid: float = 0.5, resample: str | None = None,
                           reference: str | None = None, geoparquet: bool = False, progress: Callable | None = None) -> dict:
    """Write one feature vector per window of a scene.

    Windows start at the scene's first pixel and lie wholly inside it: what is left at the right and at the bottom, less than a window, is
    in none. Parts of one row of windows are kept beside ``out`` while it runs; started again, the same call goes on.

    Args:
        encoder (LoadedEncoder): From :func:`decur.load`; every modality of it must be in ``sources``.
        sources (Mapping[str, str]): A georeferenced raster by modality.
        out (str | Path): A folder: ``<modality>.tif`` has a pixel per window and a float32 band per feature, NaN where there is none; with
            ``geoparquet`` also ``features.parquet``.
        window (int): Side of a window, pixels of the reference.
        stride (int, optional): Pixels from a window to the next. Defaults to ``window``.
        size (Sequence[int], optional): Height and width that windows are resized to (bilinear, antialiased). Defaults to None: as they are.
        batch_size (int): Windows at a time.
        min_valid (float): A window of whose pixels a smaller share is valid (no sensor lacks it) has no vector.
        resample, reference: As :func:`~decur.scenes.open_scene`.
        geoparquet (bool): Write the table too; needs pyarrow.
        progress (Callable, optional): Called with (windows done, all windows).

    Returns:
        dict: ``grid`` (rows and columns of windows), ``vectors`` (windows that have one), ``dims`` ({modality: F}) and ``uncovered`` (rows
        and columns of pixels that are in no window).

    Raises:
        ConfigError: Wrong options.
        DataError: Scenes that cannot be used (:func:`~decur.scenes.open_scene`), a scene smaller than the window, or parts of another run.
    """
    import rasterio
    out, stride = Path(out), stride or window
    if min(window, stride, batch_size) < 1 or not 0 < min_valid <= 1:
        raise ConfigError(f'window {window}, stride {stride} and batch_size {batch_size} must be positive, min_valid {min_valid} above 0 '
                          'and at most 1.')
    if out.is_file() or out.suffix in ('.tif', '.parquet', '.safetensors'):
        raise ConfigError(f'the features of a scene are written to a folder: {out} is a file, or has the name of one.')
    if geoparquet:
        check_pyarrow()
    left = [name for name in encoder.modalities if name not in sources]
    if left:
        raise ConfigError(f'there is no scene of {left}: give it ({left[0]}=FILE.tif), or load the encoders of the others alone '
                          f'(--modalities {" ".join(sources)}).')
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        scene = open_scene(sources, encoder.modalities, resample, reference)
        if min(scene.shape) < window:
            raise DataError(f'{scene.reference.path} has {scene.shape[0]}x{scene.shape[1]} pixels, less than a window of {window}: give '
                            f'--window {min(scene.shape)} or less.')
        rows, columns = (list(range(0, length - window + 1, stride)) for length in scene.shape)
        output_folder(out)
        parts = out.with_name(f'.{out.name}.parts')
        run = json.loads(json.dumps(dict(
            version=__version__, weights=digest(encoder, encoder.modalities), scenes={
                name: [str(Path(path).resolve()), Path(path).stat().st_size, Path(path).stat().st_mtime_ns]
                for name, path in sources.items()},
            options=[window, stride, size, batch_size, min_valid, resample, scene.reference.path])))
        with kept_parts(parts, run, '.safetensors'):
            for i, row in enumerate(rows):
                path = parts / f'{i:06d}.safetensors'
                if _read(path, encoder, len(columns)) is None:
                    save_file(_encode(encoder, scene, row, columns, window, size, batch_size, min_valid), path)
                if progress:
                    progress((i + 1) * len(columns), len(rows) * len(columns))

            def finished() -> Iterator:
                for i in range(len(rows)):
                    yield _read(parts / f'{i:06d}.safetensors', encoder, len(columns))

            transform = scene.reference.transform * rasterio.Affine.translation((window - stride) / 2, (window - stride) / 2) \
                * rasterio.Affine.scale(stride)
            for name, dim in encoder.feature_dims.items():
                path = out / f'{name}.tif'
                with writing_raster(path), replacing(path) as temporary, rasterio.open(
                        temporary, 'w', driver='GTiff', height=len(rows), width=len(columns), count=dim, dtype='float32',
                        crs=scene.reference.crs, transform=transform, nodata=np.nan, interleave='pixel', blockysize=1, compress='deflate',
                        predictor=3, BIGTIFF='IF_SAFER') as raster:
                    raster.update_tags(modality=name, window=window, stride=stride, software=f'decur {__version__}')
                    for i, part in enumerate(finished()):
                        raster.write(part[name].numpy().T[:, None], window=rasterio.windows.Window(0, i, len(columns), 1))
            vectors = sum(int((part['valid'] >= min_valid).sum()) for part in finished())
            if geoparquet:
                groups = (_table(part, scene.reference.transform, row, columns, window, list(encoder.modalities), min_valid)
                          for row, part in zip(rows, finished()))
                write_geoparquet(out / 'features.parquet', scene.reference.crs, encoder.feature_dims, (group for group in groups if group),
                                 dict(window=str(window), stride=str(stride), software=f'decur {__version__}'))
    return dict(grid=(len(rows), len(columns)), vectors=vectors, dims=dict(encoder.feature_dims),
                uncovered=(scene.shape[0] - rows[-1] - window, scene.shape[1] - columns[-1] - window))


def _read(path: Path, encoder: LoadedEncoder, count: int) -> dict | None:
    """A part; None if there is none that is whole."""
    if not path.is_file():
        return None
    try:
        found = load_file(path)
    except WeightsError:
        return None
    expected = {name: (count, dim) for name, dim in encoder.feature_dims.items()}
    return found if {name: tuple(value.shape) for name, value in found.items()} == dict(expected, valid=(count, )) else None


def _encode(encoder, scene, row: int, columns: Sequence[int], window: int, size, batch_size: int, min_valid: float) -> dict:
    """Features ``{name: (columns, F)}`` of a row of windows, NaN where there is none, and the ``valid`` share of each."""
    device = next(encoder.parameters()).device
    found = {name: torch.full((len(columns), dim), torch.nan) for name, dim in encoder.feature_dims.items()}
    valid = torch.zeros(len(columns))
    waiting: list = []
    for i, column in enumerate(columns):
        images, gone = scene.load((row, column, window, window))
        valid[i] = 1 - float(np.logical_or.reduce(list(gone.values())).mean())
        if valid[i] >= min_valid:
            waiting.append((i, {name: encoder.transforms[name](image, radiometry=False) for name, image in images.items()}))
        if not waiting or (len(waiting) < batch_size and i + 1 < len(columns)):
            continue
        indices = [index for index, _ in waiting]
        inputs = {name: torch.stack([one[name] for _, one in waiting]).to(device) for name in scene.names}
        if size is not None:
            inputs = {name: x if tuple(x.shape[2:]) == tuple(size) else
                      F.interpolate(x, tuple(size), mode='bilinear', antialias=True, align_corners=False) for name, x in inputs.items()}
        for name, values in encoder.extract_feat(inputs).items():
            check_finite_rows(f'the features of modality {name!r}', values, [f'row {row}, column {columns[j]}' for j in indices], 'windows')
            found[name][indices] = values.float().cpu()
        waiting = []
    return dict(found, valid=valid)


def _table(part: Mapping, transform, row: int, columns: Sequence[int], window: int, names: Sequence[str], min_valid: float) -> list:
    """The windows of a part that have a vector, as rows of the table."""
    rows = []
    for i, column in enumerate(columns):
        if part['valid'][i] < min_valid:
            continue
        corners = [transform * corner for corner in ((column, row), (column + window, row), (column + window, row + window),
                                                     (column, row + window))]
        x, y = transform * (column + window / 2, row + window / 2)
        rows.append(dict(row=row, column=column, x=x, y=y, valid=float(part['valid'][i]), corners=np.array(corners),
                         vectors={name: part[name][i].numpy() for name in names}))
    return rows
