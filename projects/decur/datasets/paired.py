"""Bring your own data: co-registered rasters, one folder and suffix per modality."""
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, check_choice
from decur.readers.files import AutoReader, read_descriptions, read_size
from decur.sensors import S2A_BANDS, S2C_BANDS

from .base import MISSING, MultimodalDataset
from .finding import RASTER_SUFFIXES, FilePlace, folder_names, read_list, walk
from .layouts import Layout, Part

#: Share of an image's width that is the test block.
TEST_SHARE = 0.25
#: What the label is called among the modalities, which cannot have such a name.
_LABEL = '<label>'


@DATASETS.register_module()
class PairedRasterDataset(MultimodalDataset):
    """Files of the same name in one folder per modality; GeoTIFF, PNG, JPEG or ``.npy``.

    A modality's entry says where its files are: ``files=dict(folder='s1', suffix='.tif')``; a sample's file is
    ``data_root/folder/<id><suffix>``. Any of several suffixes may be there, but not two files of one id. For names with more around
    the id there is ``files=dict(folder='s1', pattern='S1_after_{id}.png')`` (:class:`~decur.datasets.finding.FilePlace`). The ids come
    from a split file (one per line) or, without one, from the files of the first modality; ids may contain sub-folders.

    The same class serves pretraining (no label folder) and segmentation.

    Args:
        modalities (dict[str, dict]): Entries, each with ``files``.
        data_root (str): The folder they are under.
        split (str, optional): A text file of ids, relative to ``data_root``. Lines that are empty or start with ``#`` are left out.
        folder_prefix (str): Inserted before every folder (``'train/'`` for data split by folder). Defaults to ''.
        label (dict, optional): ``dict(folder=..., suffix=...)`` or ``dict(folder=..., pattern=...)`` of the label rasters.
        missing (str): What to do with an id whose file is missing in a modality: ``'error'`` (default), ``'skip'`` it, counted and
            listed, or ``'keep'`` it with the modality absent (pretraining with masked terms).
        tile (dict, optional): Cut every raster into windows that are read one by one: the arguments of :func:`tile_windows`. All rasters
            of a sample must have the same size. What the windows leave out is logged. With ``count_once=True`` the labels of pixels that
            are in an earlier window become the ignore index, so that a metric counts every pixel once.
        dates (int, optional): The bands of every raster are those of so many dates, one date after the other. A sample then has them as
            ``seasons``, of which :class:`~decur.transforms.DrawSeasons` draws; an entry's ``channels`` are those of one date.
        **kwargs: As :class:`MultimodalDataset`.

    Raises:
        DataError: If a file is missing (named) or the split is empty.
    """

    def __init__(self,
                 modalities: Mapping,
                 data_root: str = '',
                 split: str | None = None,
                 folder_prefix: str = '',
                 label: Mapping | None = None,
                 missing: str = 'error',
                 tile: Mapping | None = None,
                 dates: int | None = None,
                 **kwargs):
        self.missing = check_choice('missing', missing, MISSING)
        self.split, self.folder_prefix, self.label = split, folder_prefix, label
        self.tile = dict(tile) if tile else None
        if dates is not None and (isinstance(dates, bool) or not isinstance(dates, int) or dates < 1):
            raise ConfigError(f'dates must be a number of dates, at least 1, got {dates!r}.')
        self.dates = dates
        #: Ids that were left out because a file was missing, with the file's path.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """Two or more folders (or one) of rasters."""
        folders = [name for name in folder_names(root) if any(Path(path).suffix.lower() in RASTER_SUFFIXES for path in walk(root / name))]
        use = "dataset=dict(type='PairedRasterDataset', data_root='{root}', modalities=dict({entries}))"
        parts = partial(folder_parts, root, folders)
        return Layout('paired', 'co-located files, a folder per modality', use, parts) if folders else None

    def load_data_list(self) -> list:
        """Find the files of every id."""
        root = self.existing_root()
        places = {name: self._place(root, entry.get('files'), f'modality {name!r}') for name, entry in self._entries_on_disk().items()}
        ids_of = next(iter(places.values()), None)
        if self.label:
            places[_LABEL] = self._place(root, self.label, 'the label')
        for name, place in places.items():
            if self.missing != 'keep' or name == _LABEL:
                place.check_folder()
        ids = self._ids(root, ids_of)
        samples = []
        for sample_id in ids:
            sources = {name: place.find(sample_id) for name, place in places.items()}
            absent = [name for name, source in sources.items() if source is None]
            if absent and self.missing == 'error':
                place = places[absent[0]]
                raise DataError(f'sample {sample_id!r}: {place.owner} has no file {place.describe(sample_id)}. Add it, take the id out of '
                                "the split, or set missing='skip'.")
            label = sources.pop(_LABEL, None)
            if absent and (self.missing == 'skip' or _LABEL in absent or not any(sources.values())):
                self.skipped[sample_id] = places[absent[0]].describe(sample_id)
                continue
            if label and Path(label).suffix.lower() in ('.jpg', '.jpeg'):
                raise DataError(f'{label}: a label in JPEG is not what was labelled. Write the labels again as PNG or GeoTIFF.')
            samples.append(dict(sample_id=sample_id, sources=sources, **(dict(seg_source=label) if label else {})))
        if self.skipped:
            listed = ', '.join(list(self.skipped)[:10])
            print_log(f'{type(self).__name__}: skipped {len(self.skipped)} of {len(ids)} samples for want of a file: {listed}'
                      f'{", ..." if len(self.skipped) > 10 else ""}', logger='current')
            if not samples:
                sample_id, path = next(iter(self.skipped.items()))
                raise DataError(f'found no samples under {root}: each of the {len(ids)} ids lacks a file; the first, {sample_id!r}, has no '
                                f'{path}.')
        samples = self._tiles(samples) if self.tile else samples
        return [self._by_date(sample) for sample in samples] if self.dates else samples

    def _by_date(self, sample: Mapping) -> dict:
        """The sample with a source for every date: its bands of the same file."""
        seasons = {}
        for name, source in sample['sources'].items():
            whole, count = source if isinstance(source, Mapping) else dict(path=source), self.modalities[name]['channels']
            seasons[name] = [] if source is None else [
                dict(whole, bands=tuple(range(date * count + 1, (date + 1) * count + 1)), num_bands=self.dates * count)
                for date in range(self.dates)]
        return dict(sample, seasons=seasons, sources={name: found[0] if found else None for name, found in seasons.items()})

    def _entries_on_disk(self) -> dict:
        """The modalities that have files of their own."""
        return self.modalities

    def _place(self, root: Path, files: Mapping | None, owner: str) -> FilePlace:
        if not files:
            raise ConfigError(f'{owner} says not where its files are: add files=dict(folder=..., suffix=...).')
        return FilePlace(root, files, owner, self.folder_prefix)

    def _list_file(self) -> str | None:
        """The list of ids, relative to ``data_root``, or None for all files."""
        return self.split

    def _ids(self, root: Path, first: FilePlace | None) -> list:
        """The ids of the list, or of the files of the first modality."""
        if not self._list_file():
            return first.ids()
        ids = self._listed(root)
        duplicates = len(ids) - len(set(ids))
        if duplicates:
            raise DataError(f'split file {root / self._list_file()} names {duplicates} id(s) twice.')
        return ids

    def _listed(self, root: Path) -> list:
        return read_list(root / self._list_file())

    def _tiles(self, samples: Sequence) -> list:
        """One sample per window of every raster."""
        options = dict(self.tile)
        count_once = options.pop('count_once', False)
        unknown = sorted(set(options) - {'tile_size', 'stride', 'blocks', 'test_share', 'remainder'})
        if unknown or 'tile_size' not in options:
            raise ConfigError(f'tile has {sorted(self.tile)}; it takes tile_size, and stride, blocks, test_share, remainder and '
                              'count_once.')
        tiles, shares = [], {}
        for sample in samples:
            sources = dict(sample['sources'], **({'label': sample['seg_source']} if 'seg_source' in sample else {}))
            sizes = {name: read_size(path) for name, path in sources.items() if path is not None}
            if len(set(sizes.values())) > 1:
                raise DataError(f'sample {sample["sample_id"]!r} cannot be tiled: its rasters differ in size: {sizes}. '
                                'Resample them to one grid.')
            size = next(iter(sizes.values()))
            try:
                windows = tile_windows(size, **options)
            except ConfigError as error:
                raise ConfigError(f'sample {sample["sample_id"]!r}: {error}') from error
            if size not in shares:
                first, last = _block(size[1], options.get('blocks'), options.get('test_share', TEST_SHARE))
                shares[size] = float(_covered(size, windows)[:, first:last].mean())
            for window, before in zip(windows, _counted_before(windows)):
                tile = dict(
                    sample_id=f'{sample["sample_id"]}@{window[0]},{window[1]}',
                    sources={name: path and dict(path=path, window=window) for name, path in sample['sources'].items()})
                if 'seg_source' in sample:
                    tile['seg_source'] = dict(path=sample['seg_source'], window=window)
                if count_once:
                    tile['counted_before'] = before
                tiles.append(tile)
        least = min(shares, key=shares.get)
        if shares[least] < 1:
            print_log(f'{type(self).__name__}: the tiles leave out {100 * (1 - shares[least]):.1f} % of an image of {least[0]}x{least[1]} '
                      f'pixels{" (of its " + options["blocks"] + " block)" if options.get("blocks") else ""}; '
                      "tile=dict(remainder='shift') with a stride of at most tile_size covers all of it", logger='current', level=30)
        return tiles


def _counted_before(windows: Sequence) -> list:
    """For each window the rows at its top and the columns at its left that are in an earlier one; windows are a grid, row by row."""
    rows, columns = sorted({window[0] for window in windows}), sorted({window[1] for window in windows})
    top = {row: max(0, before + windows[0][2] - row) for before, row in pairwise(rows)}
    left = {column: max(0, before + windows[0][3] - column) for before, column in pairwise(columns)}
    return [(top.get(row, 0), left.get(column, 0)) for row, column, _, _ in windows]


def folder_parts(root: Path, folders: Sequence) -> dict:
    """What inspection looks at: a part for each folder with rasters. Bands are called as the files describe them; else those of Sentinel-2
    are told by their count, 12 or 13, and others are numbered.
    """
    parts = {}
    for folder in folders:
        paths = [Path(path) for path in walk(root / folder) if Path(path).suffix.lower() in RASTER_SUFFIXES]
        if not paths:
            continue
        files: dict = {}
        for path in paths:
            files.setdefault(path.with_suffix('').as_posix(), []).append(root / folder / path)
        suffixes, bands = sorted({path.suffix.lower() for path in paths}), _band_names(twins[0] for twins in files.values())
        parts[folder] = Part(bands, sorted(files), partial(_only_file, files), AutoReader(names=bands),
                             dict(folder=folder, suffix=suffixes[0] if len(suffixes) == 1 else tuple(suffixes)))
    return parts


def _only_file(files: Mapping, sample_id: str) -> Path:
    path, *others = files[sample_id]
    if others:
        raise DataError(f'{" and ".join(map(str, files[sample_id]))} are both the file of {sample_id!r}. Take one away.')
    return path


def _band_names(files: Iterable) -> tuple:
    """By what most of the first five files that can be read have."""
    found: list = []
    for path in files:
        with suppress(DataError):  # named when it is read
            found.append((AutoReader()(path).shape[2], read_descriptions(path)))
        if len(found) == 5:
            break
    count, described = max(found, key=found.count, default=(0, ()))
    return described or {12: S2A_BANDS, 13: S2C_BANDS}.get(count) or tuple(str(i + 1) for i in range(count))


def tile_windows(size: Sequence,
                 *,
                 tile_size: Sequence,
                 stride: Sequence | None = None,
                 blocks: str | None = None,
                 test_share: float = TEST_SHARE,
                 remainder: str = 'shift') -> list:
    """Windows ``(row, column, height, width)`` that cut an image; train and test windows never share a pixel.

    For ``blocks='train'`` or ``'test'`` the image is cut in two along its width: the right ``test_share`` of it is the test block.
    Windows lie wholly inside their block, so whatever the stride, a pixel belongs to one of the two only.

    Args:
        size (Sequence[int]): Height and width of the image, pixels.
        tile_size (Sequence[int]): Height and width of a window.
        stride (Sequence[int], optional): Step between windows. Defaults to their size (no overlap).
        blocks (str, optional): ``'train'``, ``'test'``, or None for the whole image.
        test_share (float): Share of the width that is the test block, in (0, 1). Defaults to 0.25.
        remainder (str): What happens to the rows and columns that are left at the end: ``'shift'`` covers them by a last window that is
            shifted back to the edge, so that every pixel is in a window (if the stride is no larger than the window); ``'drop'`` leaves
            them out. Defaults to ``'shift'``.

    Returns:
        list[tuple[int]]: Windows, row by row.

    Raises:
        ConfigError: If no window fits, or an option is not valid.
    """
    height, width = size
    step = tile_size if stride is None else stride
    for name, value in (('tile_size', tile_size), ('stride', step)):
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(isinstance(length, int) for length in value):
            raise ConfigError(f'tile: {name} must be two whole numbers, height and width in pixels, got {value!r}.')
    rows, columns = tile_size
    if blocks not in (None, 'train', 'test') or remainder not in ('shift', 'drop') or not 0 < test_share < 1:
        raise ConfigError(f"tile: blocks must be None, 'train' or 'test', remainder 'shift' or 'drop', and test_share in (0, 1); got "
                          f'blocks={blocks!r}, remainder={remainder!r}, test_share={test_share!r}.')
    if min(*tile_size, *step) < 1:
        raise ConfigError(f'tile: tile_size and stride must be at least 1 pixel, got {tuple(tile_size)} and {tuple(step)}.')
    first, last = _block(width, blocks, test_share)
    if rows > height or columns > last - first:
        raise ConfigError(f'no tile of {rows}x{columns} fits into columns {first}..{last} of an image of {height}x{width} pixels.')
    shift = remainder == 'shift'
    return [(row, column, rows, columns) for row in _starts(0, height, rows, step[0], shift)
            for column in _starts(first, last, columns, step[1], shift)]


def _starts(first: int, last: int, length: int, step: int, shift: bool) -> list:
    """Where windows of ``length`` begin between ``first`` and ``last``."""
    starts = list(range(first, last - length + 1, step))
    if shift and starts[-1] + length < last:
        starts.append(last - length)
    return starts


def _block(width: int, blocks: str | None, test_share: float) -> tuple:
    """Where a block begins and ends along the width."""
    cut = width - round(width * test_share)
    return {None: (0, width), 'train': (0, cut), 'test': (cut, width)}[blocks]


def _covered(size: Sequence, windows: Sequence) -> np.ndarray:
    """Which of an image's pixels are in at least one window, bool."""
    mask = np.zeros(tuple(size), bool)
    for row, column, height, width in windows:
        mask[row:row + height, column:column + width] = True
    return mask
