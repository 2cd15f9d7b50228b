"""TorchGeo's samples, dicts of tensors: of which key and which channels, by name, a modality's images are."""
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from decur.errors import ConfigError, DataError, some
from decur.sensors import S2A_BANDS, band_name, image_bands

from .base import NamedArray

#: What an entry's ``files`` may say of a TorchGeo sample.
FILE_KEYS = ('dataset', 'key', 'channels', 'date')
#: TorchGeo sorts the files of Sentinel-1 by name, so VH comes before VV, whatever its documentation says.
_SORTED_S1 = ('VH', 'VV')
#: What the channels of a sample's images are called, where the data set itself does not say so (TorchGeo 0.8): class to key to names.
_NAMES: dict[str, Callable] = dict(
    BigEarthNet=lambda data: dict(image=dict(s1=_SORTED_S1, s2=S2A_BANDS, all=(*_SORTED_S1, *S2A_BANDS))[data.bands]),
    BigEarthNetV2=lambda data: dict(image_s1=_SORTED_S1, image_s2=S2A_BANDS, image=dict(s1=_SORTED_S1, s2=S2A_BANDS).get(data.bands)),
    DFC2022=lambda data: dict(image=('R', 'G', 'B', 'DEM')),
    GeoNRW=lambda data: dict(image=('R', 'G', 'B'), dem=('DEM', )),
    EnviroAtlas=lambda data: dict(image=_enviroatlas(data)),
)


def check_files(name: str, entry: Mapping) -> dict:
    """What an entry says of where its images are in a sample: its ``files``, with the default ``key='image'``.

    Raises:
        ConfigError: If it has another key, ``date`` is no index, or the entry has a reader of files.
    """
    files = dict(entry.get('files') or {})
    reader = (entry.get('reader') or {}).get('type', 'AutoReader')
    if reader not in ('AutoReader', 'ArrayReader'):
        raise ConfigError(f'modality {name!r}: its reader {reader!r} reads files, and TorchGeo has read them already: set reader=None in '
                          'the entry.')
    unknown = sorted(set(files) - set(FILE_KEYS))
    if unknown:
        raise ConfigError(f'modality {name!r}: files={files} has {unknown[0]!r}; of a TorchGeo sample it may say {list(FILE_KEYS)}.')
    date = files.get('date')
    if date is not None and (isinstance(date, bool) or not isinstance(date, int)):
        raise ConfigError(f'modality {name!r}: date in its files must be an index of a date, got {date!r}.')
    return dict(dict(key='image'), **files)


def images_of(sample: Mapping, name: str, entry: Mapping, names: Sequence | None = None, dates: int = 1, where: str = 'the sample') -> list:
    """The images of a modality in a sample, one for each date.

    Args:
        sample (dict[str, Tensor]): From a TorchGeo data set: ``(C, H, W)``, ``(H, W)``, ``(T, C, H, W)``, or ``(T * C, H, W)`` with
            ``dates=T``.
        name (str): The modality.
        entry (dict): Its entry.
        names (Sequence[str], optional): What the channels of its key are called.
        dates (int): T of a tensor whose channels are those of several dates, one date after the other. Defaults to 1.
        where (str): The sample, for messages.

    Returns:
        list[NamedArray]: ``(H, W, channels)``, ordered by the sample's ``t`` where it has one for each date.

    Raises:
        DataError: If the key or the date is not there, or the tensor has another form.
        ConfigError: See :func:`channels_of`.
    """
    files = check_files(name, entry)
    key = files['key']
    if key not in sample:
        raise DataError(f'{where} has no {key!r}, which modality {name!r} takes; it has {sorted(sample)}. Correct key in its '
                        'files=dict(key=...).')
    values = as_array(sample[key])
    if values.ndim == 2:
        values = values[None]
    if values.ndim and not values.size:
        raise DataError(f'{where}: {key!r} has shape {values.shape}: there is no pixel.')
    if values.ndim == 3:
        if values.shape[0] % dates:
            raise DataError(f'{where}: {key!r} has {values.shape[0]} channels, which are not those of {dates} dates.')
        values = values.reshape(dates, -1, *values.shape[1:])
    if values.ndim != 4:
        raise DataError(f'{where}: {key!r} has shape {values.shape}, expected (C, H, W) or (T, C, H, W).')
    times = as_array(sample.get('t', ()))
    if times.size == len(values) > 1:
        values = values[np.argsort(times, axis=None, kind='stable')]
    if files.get('date') is not None:
        if not -len(values) <= files['date'] < len(values):
            raise DataError(f'{where}: {key!r} has {len(values)} dates, modality {name!r} takes date {files["date"]}.')
        values = values[files['date']][None]
    index = channels_of(name, entry, values.shape[1], names, f'{where}: {key!r}')
    return [NamedArray(np.ascontiguousarray(value[index].transpose(1, 2, 0)), f'{where}, {key!r}') for value in values]


def channels_of(name: str, entry: Mapping, count: int, names: Sequence | None = None, where: str = 'the image') -> list:
    """Which channels of an image a modality takes, as indices in the order of the entry.

    By ``channels`` of its ``files``, indices or names (their number may be another, where a radiometric step adds a band); without it by
    its ``bands`` (but one that such a step adds), where the channels of the image have names; and else all, if there are as many as the
    entry says. So an image in another order than that of the weights (VH before VV) is put right by name.

    Raises:
        ConfigError: If a name or an index is not there, or it cannot be told which ones are meant.
    """
    files = check_files(name, entry)
    known = [band_name(text) for text in names] if names is not None and len(names) == count else None
    chosen = files.get('channels')
    if chosen is None and known and entry.get('bands'):
        chosen = image_bands(entry)
    if chosen is None:
        if entry['channels'] != count:
            listed, also = (f' ({some(names, 20)})', '') if known else ('', ' and channels=dict(...) in the data set')
            raise ConfigError(f'{where} has {count} channels{listed}, modality {name!r} has {entry["channels"]}. Say which: bands=(...) in '
                              f'its entry{also}, or files=dict(channels=(0, 1, ...)).')
        return list(range(count))
    index = []
    for item in chosen:
        if isinstance(item, int) and not isinstance(item, bool):
            if not 0 <= item < count:
                raise ConfigError(f'modality {name!r} takes channel {item}, {where} has {count}.')
            index.append(item)
        elif known is None:
            raise ConfigError(f'modality {name!r} takes the channel {item!r}, and what the {count} channels of {where} are called is not '
                              'known. Name them in the data set: channels=dict(image=(...)).')
        elif known.count(band_name(item)) != 1:
            raise ConfigError(f'modality {name!r} takes the channel {item!r}; {where} has {list(names)}.')
        else:
            index.append(known.index(band_name(item)))
    return index


def channel_names(data) -> dict:
    """What the channels of a TorchGeo data set's images are called, by key; empty where it is not known.

    What a class says of itself (``bands``, or ``all_bands`` by sensor) is taken, but for the classes of which it is not true.
    """
    for kind in type(data).__mro__:
        if kind.__name__ in _NAMES:
            return {key: tuple(names) for key, names in _NAMES[kind.__name__](data).items() if names}
    bands = getattr(data, 'bands', None) or getattr(data, 'all_bands', None)
    if isinstance(bands, Mapping):
        return {f'image_{sensor}': tuple(map(str, names)) for sensor, names in bands.items()}
    if isinstance(bands, Sequence) and not isinstance(bands, str):
        return dict(image=tuple(map(str, bands)))
    return {}


def _enviroatlas(data) -> tuple:
    """The four bands of NAIP, and each further layer that is an input."""
    names: list = []
    for layer in data.layers:
        if layer == 'naip':
            names += ['R', 'G', 'B', 'NIR']
        elif layer.startswith('prior') and data.prior_as_input:
            names += [f'{layer}_{i}' for i in range(5)]
        elif layer != 'lc' and not layer.startswith('prior'):
            names.append(layer)
    return tuple(names)


def as_array(value) -> np.ndarray:
    """A tensor, or what NumPy takes, as an array of a type that NumPy has."""
    if hasattr(value, 'detach'):
        value = value.detach().cpu()
        if str(value.dtype) in ('torch.bfloat16', 'torch.float16'):
            value = value.float()
        return value.numpy()
    return np.asarray(value)
