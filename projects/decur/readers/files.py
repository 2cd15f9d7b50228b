"""Which reader reads what: by the modality's entry (``reader=dict(type=...)``) or, without one, by the source."""
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decur.errors import ConfigError
from decur.registry import READERS
from decur.sensors import band_name

from .arrays import ArrayReader, NpyReader
from .base import NamedArray, Reader, check_file, split_source
from .pictures import IMAGE_SUFFIXES, PillowReader, picture_size
from .rasters import RasterioReader, open_raster
from .shards import read_member
from .store import StoreReader


@READERS.register_module()
class AutoReader(Reader):
    """Choose the reader by the source: an array, the compact store, a tar shard, or by the file's suffix Pillow, NumPy for ``.npy``,
    rasterio for the rest.

    Args:
        names (Sequence[str], optional): As :class:`~decur.readers.RasterioReader`.
        **kwargs: ``missing``, ``nodata`` and ``dtype``, as :class:`~decur.readers.base.Reader`.
    """

    def __init__(self, names=None, **kwargs):
        super().__init__(**kwargs)
        self._pillow, self._npy, self._store = PillowReader(**kwargs), NpyReader(**kwargs), StoreReader(**kwargs)
        self._rasterio = RasterioReader(names=names, **kwargs)
        self._array = ArrayReader(**kwargs)

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        if isinstance(source, np.ndarray | NamedArray):
            return self._array.decode(source)
        if isinstance(source, Mapping) and 'store' in source:
            return self._store.decode(source)
        if isinstance(source, Mapping) and 'tar' in source:
            values = np.stack(list(read_member(source).values()), axis=-1)
            return values, self.mark(values, None)
        suffix = split_source(source)[0].suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            return self._pillow.decode(source)
        return (self._npy if suffix == '.npy' else self._rasterio).decode(source)


def build_reader(cfg: Mapping | None, **defaults):
    """Build a reader.

    Args:
        cfg (dict, optional): An entry's ``reader``. Defaults to ``dict(type='AutoReader')``.
        **defaults: Arguments that ``cfg`` does not give; those that the reader does not know are left out.

    Raises:
        ConfigError: If there is no such reader, or it does not take an argument.
    """
    import inspect
    cfg = dict(cfg or dict(type='AutoReader'))
    cfg.setdefault('type', 'AutoReader')
    kind = cfg.pop('type')
    reader = READERS.get(kind) if isinstance(kind, str) else kind
    if reader is None:
        raise ConfigError(f'unknown reader {kind!r}; registered: {sorted(READERS.module_dict)}.')
    known = inspect.signature(reader).parameters
    try:
        return reader(**{name: value for name, value in defaults.items() if name in known}, **cfg)
    except TypeError as error:
        raise ConfigError(f'reader {kind}: {error}.') from error


def read_size(source) -> tuple:
    """Height and width of a source as it is read, without decoding its pixels.

    Raises:
        DataError: If the file is absent or unreadable.
    """
    path, window = split_source(source)
    if window is not None:
        return tuple(window[2:])
    check_file(path)
    suffix = path.suffix.lower()
    if suffix == '.npy':
        return NpyReader().open(path).shape[:2]
    if suffix in IMAGE_SUFFIXES:
        return picture_size(path)
    with open_raster(path) as raster:
        return raster.height, raster.width


def read_descriptions(path: Path) -> tuple:
    """What a raster calls its bands, as :func:`~decur.sensors.band_name` spells them; empty unless every band has a name of its own.

    Raises:
        DataError: If the file is absent or unreadable.
    """
    if path.suffix.lower() in (*IMAGE_SUFFIXES, '.npy'):
        return ()
    with open_raster(path) as raster:
        names = tuple(band_name(text) for text in raster.descriptions if text)
        return names if len(set(names)) == raster.count else ()


def read_marked(reader, source) -> np.ndarray:
    """Read with any callable of the registry: ``read``, which marks missing pixels even where they have a fill, where there is one."""
    return getattr(reader, 'read', reader)(source)
