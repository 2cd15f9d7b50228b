"""A map of a whole scene: class indices or probabilities of a segmentation model, as a cloud-optimized GeoTIFF."""
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..errors import ConfigError, DataError, check_choice
from ..modalities import check_names
from ..scenes.cog import as_labels, label_type, write_cog
from ..scenes.reading import CACHE, Scene, open_scene
from ..scenes.windows import Blend, check_window, starts
from ..version import __version__
from ..writing import output_folder, replacing
from .features import digest, kept_parts
from .inferencer import SegmentationInferencer


def map_scene(segment: SegmentationInferencer, sources: Mapping, out: str | Path, window: int = 512, overlap: int | None = None,
              batch_size: int = 1, probabilities: bool = False, resample: str | None = None, reference: str | None = None,
              missing: Sequence[str] = (), nodata_where: str = 'any', memory: int = 256, progress: Callable | None = None) -> dict:
    """Segment a scene of any size and write the map.

    The model sees windows; class probabilities of overlapping ones are averaged, with weights that fall towards the border of a window. The
    result is kept in parts beside ``out`` while it grows: started again after a stop, the same call goes on and ends with the same file.

    ::

        segment = SegmentationInferencer('config.py', 'checkpoint.pth')
        map_scene(segment, dict(sar='s1.tif', optical='s2.tif'), 'map.tif', resample='bilinear')

    Args:
        segment (SegmentationInferencer): The model.
        sources (Mapping[str, str]): A georeferenced raster by modality.
        out (str | Path): ``X.tif``: class indices with a colour table (uint8, nodata 255; uint16 and 65535 for more than 255 classes), or
            with ``probabilities`` a float32 band for each class (nodata NaN). The names of the classes are in the file's tags and in
            ``X.tif.aux.xml``.
        window (int): Side of a window, pixels; a scene that is smaller is one window. Best a size near that of the training images.
        overlap (int, optional): Of neighbouring windows, pixels. Defaults to a quarter of the window.
        batch_size (int): Windows at a time.
        probabilities (bool): Write probabilities instead of class indices.
        resample (str, optional): How scenes that do not lie on the grid of the reference are brought there
            (:func:`~decur.scenes.open_scene`). Defaults to None: they are refused.
        reference (str, optional): The modality whose grid the map has. Defaults to the first of ``sources``.
        missing (Sequence[str]): Modalities that there is no scene of; the model sees their mean. Every modality of the model must be either
            here or in ``sources``.
        nodata_where (str): ``'any'``: the map has no class where any of the scenes has a missing pixel (or ends). ``'all'``: only where all
            have; elsewhere what is missing is set to its mean.
        memory (int): MiB that the blended probabilities may take; wider scenes are done in several strips, with the same result.
        progress (Callable, optional): Called with (windows done, all windows).

    Returns:
        dict: ``shape`` of the map, ``windows`` (number), ``pixels`` ({class: number of pixels}, of class indices only) and ``nodata``
        (number of pixels).

    Raises:
        ConfigError: Wrong options, a modality that is neither given nor declared missing.
        DataError: Scenes that cannot be used (:func:`~decur.scenes.open_scene`), or parts beside ``out`` that are of another run.
        WriteError: If a file cannot be written.
    """
    import rasterio
    out = Path(out)
    check_choice('nodata_where', nodata_where, ('any', 'all'))
    overlap = window // 4 if overlap is None else overlap
    check_window(window, overlap)
    if out.suffix.lower() not in ('.tif', '.tiff') or out.is_dir():
        raise ConfigError(f'a map is written as a GeoTIFF: {out} does not end in .tif, or is a folder.')
    if batch_size < 1 or memory < 1:
        raise ConfigError(f'batch_size and memory must be positive, got {batch_size} and {memory}.')
    _check_declared(segment, sources, missing)
    if any(out.resolve() == Path(path).resolve() for path in sources.values()):
        raise ConfigError(f'{out} is one of the scenes: give the map another name.')
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        scene = open_scene(sources, segment.entries, resample, reference)
        work = _Map(segment, scene, window, overlap, batch_size, probabilities, nodata_where, memory)
        output_folder(out.parent)
        parts = out.with_name(f'.{out.name}.parts')
        run = json.loads(json.dumps(dict(
            version=__version__, weights=digest(segment.model, *segment.settings), classes=segment.classes, scenes={
                name: [str(Path(path).resolve()), Path(path).stat().st_size, Path(path).stat().st_mtime_ns]
                for name, path in sources.items()},
            options=[window, overlap, batch_size, probabilities, resample, scene.reference.path, sorted(missing), nodata_where, memory])))
        with kept_parts(parts, run, '.npy'):
            work.compute(parts, progress)
            dtype, nodata = ('float32', np.nan) if probabilities else label_type(len(segment.classes))
            tags = dict(software=f'decur {__version__}', modalities=','.join(scene.names), missing=','.join(missing))
            write_cog(out, parts, scene.reference, lambda: work.parts(parts), dtype, nodata, segment.classes,
                      None if probabilities else segment.palette, tags)
            counts = work.count(parts)
    found = dict(shape=scene.shape, windows=work.total, nodata=int(counts[-1]))
    return found if probabilities else dict(found, pixels=dict(zip(segment.classes, counts[:-1].tolist())))


def _check_declared(segment: SegmentationInferencer, sources: Mapping, missing: Sequence[str]) -> None:
    """Every modality of the model is given, or declared missing."""
    check_names([*sources, *missing], segment.modalities)
    both = [name for name in missing if name in sources]
    if both:
        raise ConfigError(f'{both[0]} is given ({sources[both[0]]}) and declared missing: do one of the two.')
    left = [name for name in segment.modalities if name not in sources and name not in missing]
    if left:
        raise ConfigError(f'the model takes {list(segment.modalities)}; there is no scene of {left}. Give it ({left[0]}=FILE.tif), or '
                          f'declare that there is none (--missing {" ".join(left)}): the model then sees its mean.')


class _Map:
    """The windows of a scene, their predictions, and the parts of the map that are kept."""

    def __init__(self, segment, scene: Scene, window: int, overlap: int, batch_size: int, probabilities: bool, nodata_where: str,
                 memory: int):
        self.segment, self.scene, self.overlap, self.batch_size = segment, scene, overlap, batch_size
        self.probabilities, self.nodata_where = probabilities, nodata_where
        height, width = scene.shape
        self.size = min(window, height), min(window, width)
        self.rows, self.columns = (starts(length, window, window - overlap) for length in scene.shape)
        self.ends = [*self.rows[1:], height]
        most = memory * 2**20 // (4 * (len(segment.classes) + 1) * self.size[0])
        count = -(-width // max(most, self.size[1]))
        edges = [round(i * width / count) for i in range(count + 1)]
        #: First column and the one after the last of every strip.
        self.strips = list(zip(edges[:-1], edges[1:]))
        self.columns_of = [[column for column in self.columns if column < right and column + self.size[1] > left]
                           for left, right in self.strips]
        self.total = len(self.rows) * sum(map(len, self.columns_of))
        heads = getattr(segment.model, 'decode_head', None)
        head = heads[-1] if isinstance(heads, torch.nn.ModuleList) else heads
        self.threshold = head.threshold if getattr(head, 'out_channels', None) == 1 else None

    def compute(self, folder: Path, progress: Callable | None) -> None:
        """Write every part that is not there."""
        done = 0
        for number, strip in enumerate(self.strips):
            blend = Blend(len(self.segment.classes), self.scene.shape, self.size[0], strip, self.overlap)
            lacking = [i for i in range(len(self.rows)) if not self._is_whole(self._path(folder, number, i), i, strip)]
            for i, row in enumerate(self.rows):
                needed = [j for j in lacking if i <= j and self.rows[j] < row + self.size[0]]
                if needed:
                    blend.move_to(row)
                    for column, scores, gone in self._predict(row, self.columns_of[number]):
                        blend.add(column, scores, gone)
                    if i in needed:
                        self._keep(self._path(folder, number, i), *blend.rows(self.ends[i] - row))
                done += len(self.columns_of[number])
                if progress:
                    progress(done, self.total)

    def _path(self, folder: Path, strip: int, row: int) -> Path:
        return folder / f'{strip:04d}_{row:06d}.npy'

    def _is_whole(self, path: Path, row: int, strip: Sequence[int]) -> bool:
        """Whether a part is there; a file whose head does not fit its size was not written whole (by a power cut)."""
        try:
            shape = np.load(path, mmap_mode='r', allow_pickle=False).shape
        except (OSError, ValueError, EOFError):
            return False
        bands = len(self.segment.classes) if self.probabilities else 1
        return shape == (bands, self.ends[row] - self.rows[row], strip[1] - strip[0])

    def _keep(self, path: Path, scores: np.ndarray, gone: np.ndarray) -> None:
        if self.probabilities:
            values = scores
            values[:, gone] = np.nan
        else:
            values = as_labels(scores, gone, self.threshold)
        with replacing(path) as temporary, open(temporary, 'wb') as file:
            np.save(file, values)

    def _predict(self, row: int, columns: Sequence[int]) -> Iterator:
        """``(column, (K, h, w) probabilities or None, (h, w) bool missing)`` of the windows of a row."""
        waiting = []
        for i, column in enumerate(columns):
            images, gone = self.scene.load((row, column, *self.size))
            gone = (np.logical_or if self.nodata_where == 'any' else np.logical_and).reduce(list(gone.values()))
            waiting.append((column, images, gone))
            if len(waiting) < self.batch_size and i + 1 < len(columns):
                continue
            there = [images for _, images, gone in waiting if not gone.all()]
            scores = iter(self.segment.probabilities(there) if there else ())
            for column, _, gone in waiting:
                found = None if gone.all() else next(scores)
                if found is not None and not np.isfinite(found).all():
                    raise DataError(f'the predictions of the window at row {row}, column {column} are not finite: look at the weights of '
                                    'the model.')
                yield column, found, gone
            waiting = []

    def parts(self, folder: Path) -> Iterator:
        """``((row, column), values)`` of every part."""
        for i, row in enumerate(self.rows):
            for number, (left, _) in enumerate(self.strips):
                yield (row, left), np.load(self._path(folder, number, i), allow_pickle=False)

    def count(self, folder: Path) -> np.ndarray:
        """Pixels of each class (0 if there are probabilities) and, last, of none, int64."""
        counts = np.zeros(len(self.segment.classes) + 1, np.int64)
        for _, values in self.parts(folder):
            if self.probabilities:
                counts[-1] += np.isnan(values[0]).sum()
            else:
                counts += np.bincount(np.minimum(values.ravel(), len(counts) - 1), minlength=len(counts))
        return counts
