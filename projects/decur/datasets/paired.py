"""Bring your own data: co-registered rasters, one folder and suffix per modality."""
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError
from decur.readers.files import read_size

from .base import MultimodalDataset


@DATASETS.register_module()
class PairedRasterDataset(MultimodalDataset):
    """Files of the same name in one folder per modality; GeoTIFF, PNG, JPEG or ``.npy``.

    A modality's entry says where its files are: ``files=dict(folder='s1', suffix='.tif')``; a sample's file is
    ``data_root/folder/<id><suffix>``. Several suffixes are tried in order. The ids come from a split file (one per line) or, without
    one, from the folder of the first modality; ids may contain sub-folders.

    The same class serves pretraining (no label folder) and segmentation.

    Args:
        modalities (dict[str, dict]): Entries, each with ``files``.
        data_root (str): The folder they are under.
        split (str, optional): A text file of ids, relative to ``data_root``. Lines that are empty or start with ``#`` are left out.
        folder_prefix (str): Inserted before every folder (``'train/'`` for data split by folder). Defaults to ''.
        label (dict, optional): ``dict(folder=..., suffix=...)`` of the label rasters.
        missing (str): What to do with an id whose file is missing in a modality: ``'error'`` (default), ``'skip'`` it, counted and
            listed, or ``'keep'`` it with the modality absent (pretraining with masked terms).
        tile (dict, optional): Cut every raster into windows that are read one by one:
            ``dict(tile_size=(h, w), stride=(h, w), blocks='train' | 'test' | None, test_share=0.25)`` in pixels, as
            :func:`tile_windows`; all rasters of a sample must have the same size.
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
                 **kwargs):
        if missing not in ('error', 'skip', 'keep'):
            raise ConfigError(f"missing must be 'error', 'skip' or 'keep', got {missing!r}.")
        self.split, self.folder_prefix, self.label, self.missing = split, folder_prefix, label, missing
        self.tile = dict(tile) if tile else None
        #: Ids that were left out because a file was missing, with the file's path.
        self.skipped: dict = {}
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    def load_data_list(self) -> list:
        """Find the files of every id."""
        root = Path(self.data_root)
        if not root.is_dir():
            raise DataError(f'data_root {str(root)!r} is not a folder. Set it in the config or with '
                            '--cfg-options train_dataloader.dataset.data_root=...')
        for name, entry in self.modalities.items():
            if not entry.get('files'):
                raise ConfigError(f'modality {name!r} says not where its files are: add files=dict(folder=..., suffix=...).')
        ids = self._ids(root)
        samples = []
        for sample_id in ids:
            sources, absent = {}, {}
            for name, entry in self.modalities.items():
                sources[name], tried = self._find(root, entry['files'], sample_id)
                if sources[name] is None:
                    absent[name] = tried
            if absent and self.missing == 'error':
                name, tried = next(iter(absent.items()))
                raise DataError(f'sample {sample_id!r}: modality {name!r} has no file {tried}. Add it, take the id out of the split, '
                                "or set missing='skip'.")
            if absent and (self.missing == 'skip' or len(absent) == len(sources)):
                self.skipped[sample_id] = next(iter(absent.values()))
                continue
            sample = dict(sample_id=sample_id, sources=sources)
            if self.label:
                sample['seg_source'], tried = self._find(root, self.label, sample_id)
                if sample['seg_source'] is None:
                    if self.missing == 'error':
                        raise DataError(f"sample {sample_id!r} has no label file {tried}. Add it, or set missing='skip'.")
                    self.skipped[sample_id] = tried
                    continue
            samples.append(sample)
        if self.skipped:
            listed = ', '.join(list(self.skipped)[:10])
            print_log(f'{type(self).__name__}: skipped {len(self.skipped)} of {len(ids)} samples for want of a file: {listed}'
                      f'{", ..." if len(self.skipped) > 10 else ""}', logger='current')
        return self._tiles(samples) if self.tile else samples

    def _folder(self, root: Path, files: Mapping) -> Path:
        return root / f'{self.folder_prefix}{files.get("folder", "")}'

    def _find(self, root: Path, files: Mapping, sample_id: str) -> tuple:
        """The file of an id, or None and what was looked for."""
        suffixes = files.get('suffix', '')
        suffixes = [suffixes] if isinstance(suffixes, str) else list(suffixes)
        folder = self._folder(root, files)
        candidates = [folder / f'{sample_id}{suffix}' for suffix in suffixes]
        for path in candidates:
            if path.exists():
                check_inside(path, (folder, root), f'sample {sample_id!r}')
                return str(path), ''
        return None, ' or '.join(str(path) for path in candidates)

    def _ids(self, root: Path) -> list:
        if self.split:
            path = root / self.split
            if not path.is_file():
                raise DataError(f'split file {path} does not exist.')
            lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines()]
            ids = [line for line in lines if line and not line.startswith('#')]
            duplicates = len(ids) - len(set(ids))
            if duplicates:
                raise DataError(f'split file {path} names {duplicates} id(s) twice.')
            return ids
        files = next(iter(self.modalities.values()))['files']
        folder = self._folder(root, files)
        if not folder.is_dir():
            raise DataError(f'{folder} is not a folder; it should hold the files of modality {next(iter(self.modalities))!r}.')
        suffixes = files.get('suffix', '')
        suffixes = [suffixes] if isinstance(suffixes, str) else list(suffixes)
        ids = set()
        for suffix in suffixes:
            ids |= {path.relative_to(folder).as_posix()[:-len(suffix) or None] for path in folder.rglob(f'*{suffix}') if path.is_file()}
        return sorted(ids)

    def _tiles(self, samples: Sequence) -> list:
        """One sample per window of every raster."""
        tiles = []
        for sample in samples:
            sources = dict(sample['sources'], **({'label': sample['seg_source']} if 'seg_source' in sample else {}))
            sizes = {name: read_size(path) for name, path in sources.items() if path is not None}
            if len(set(sizes.values())) > 1:
                raise DataError(f'sample {sample["sample_id"]!r} cannot be tiled: its rasters differ in size: {sizes}. '
                                'Resample them to one grid.')
            for window in tile_windows(next(iter(sizes.values())), **self.tile):
                row, column = window[:2]
                tile = dict(
                    sample_id=f'{sample["sample_id"]}@{row},{column}',
                    sources={name: path and dict(path=path, window=window) for name, path in sample['sources'].items()})
                if 'seg_source' in sample:
                    tile['seg_source'] = dict(path=sample['seg_source'], window=window)
                tiles.append(tile)
        return tiles


def check_inside(path: Path, folders: Sequence, what: str) -> None:
    """Refuse a file that a name leads out of the data set, by ``..``, as an absolute path or over a link.

    Args:
        path (Path): The file.
        folders (Sequence[Path]): It must lie in one of them. They may be links themselves: who set up the data set made those.
        what (str): Named in the error.

    Raises:
        DataError: If it does not.
    """
    resolved = path.resolve()
    if not any(resolved.is_relative_to(folder.resolve()) for folder in folders):
        raise DataError(f'{what} leads to {resolved}, outside {folders[0]}. Take it out of the split, or copy the file into the folder.')


def tile_windows(size: Sequence,
                 *,
                 tile_size: Sequence,
                 stride: Sequence | None = None,
                 blocks: str | None = None,
                 test_share: float = 0.25) -> list:
    """Windows ``(row, column, height, width)`` that cut an image; train and test windows never share a pixel.

    For ``blocks='train'`` or ``'test'`` the image is cut in two along its width: the right ``test_share`` of it is the test block.
    Windows lie wholly inside their block, so whatever the stride, a pixel belongs to one of the two only.

    Args:
        size (Sequence[int]): Height and width of the image, pixels.
        tile_size (Sequence[int]): Height and width of a window.
        stride (Sequence[int], optional): Step between windows. Defaults to their size (no overlap).
        blocks (str, optional): ``'train'``, ``'test'``, or None for the whole image.
        test_share (float): Share of the width that is the test block. Defaults to 0.25.

    Returns:
        list[tuple[int]]: Windows, row by row.

    Raises:
        ConfigError: If no window fits.
    """
    height, width = size
    rows, columns = tile_size
    step = stride or tile_size
    cut = width - round(width * test_share)
    first, last = {None: (0, width), 'train': (0, cut), 'test': (cut, width)}[blocks]
    windows = [(row, column, rows, columns) for row in range(0, height - rows + 1, step[0])
               for column in range(first, last - columns + 1, step[1])]
    if not windows:
        raise ConfigError(f'no tile of {rows}x{columns} fits into columns {first}..{last} of an image of {height}x{width} pixels.')
    return windows
