"""What a modality is: the one vocabulary that datasets, transforms and models share.

A modality is a named entry of a config, a plain dict (docs/architecture.md lists its keys). Every consumer takes the same mapping
``{name: entry}`` and reads only the keys it knows. This file checks such a mapping and holds the only place where the two forms of a
multimodal input meet: a dict of tensors and one tensor whose channels are concatenated in the order of the mapping.
"""
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Real

import numpy as np
import torch

from .errors import ConfigError, DataError, closest, some

#: The keys an entry may have. A key outside this list is a typing error and stops the build.
ENTRY_KEYS = frozenset({
    'channels', 'bands', 'files', 'reader', 'radiometry', 'mean', 'std', 'channel_order', 'interpolation', 'augmentation', 'encoder',
    'attention', 'feature_channels', 'meta',
})


def check_modalities(modalities: Mapping) -> dict:
    """Check a mapping of modality entries and return it as a plain dict.

    Args:
        modalities (Mapping[str, dict]): Entries by name. An entry that is None was removed by a child config and is left out.

    Returns:
        dict[str, dict]: The entries in their order.

    Raises:
        ConfigError: If there is no modality, a name cannot name a parameter, an entry has no channel count, has a key nobody reads, or
            has bands or statistics of another length than its channels, or statistics that cannot be.
    """
    if not isinstance(modalities, Mapping):
        raise ConfigError(f'modalities must be a dict of entries by name, got {type(modalities).__name__}. '
                          'Write modalities=dict(rgb=dict(channels=3, ...), ...).')
    entries = {name: dict(entry) for name, entry in modalities.items() if entry is not None}
    if not entries:
        raise ConfigError('modalities is empty: name at least one, for example dict(rgb=dict(channels=3)).')
    for name, entry in entries.items():
        if not name.isidentifier():
            raise ConfigError(f'{name!r} cannot name a modality: use letters, digits and underscores.')
        unknown = sorted(set(entry) - ENTRY_KEYS)
        if unknown:
            raise ConfigError(f'modality {name!r}: unknown key {unknown[0]!r}{closest(unknown[0], ENTRY_KEYS)} '
                              f'Known: {sorted(ENTRY_KEYS)}.')
        if 'channels' not in entry:
            raise ConfigError(f'modality {name!r} has no channels{closest(name, entries)} An entry needs at least channels; the config has '
                              f'{list(entries)}.')
        channels = entry['channels']
        if not isinstance(channels, int) or channels < 1:
            raise ConfigError(f'modality {name!r}: channels must be a positive integer, got {channels!r}.')
        if isinstance(entry.get('bands'), str):
            raise ConfigError(f'modality {name!r}: bands must be a list of names, one for each channel, got {entry["bands"]!r}.')
        for key in ('bands', 'mean', 'std'):
            value = entry.get(key)
            allowed = {channels} if key == 'bands' else {1, channels}
            if isinstance(value, Sequence) and not isinstance(value, str) and len(value) not in allowed:
                raise ConfigError(f'modality {name!r}: {key} has {len(value)} values for {channels} channels.')
        for key in ('mean', 'std'):
            values = [] if entry.get(key) is None else entry[key] if isinstance(entry[key], Iterable) else [entry[key]]
            for value in values:
                if not isinstance(value, Real) or not math.isfinite(value) or (key == 'std' and value <= 0):
                    raise ConfigError(f'modality {name!r}: {key} must hold finite numbers{" above 0" * (key == "std")}, got {value!r}.')
    return entries


def select(modalities: Mapping, names: Sequence[str]) -> dict:
    """Return the entries of ``names`` in that order.

    Raises:
        ConfigError: If a name is not among the modalities.
    """
    entries = check_modalities(modalities)
    check_names(names, entries)
    return {name: entries[name] for name in names}


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are none of the modalities of a model or config.

    Raises:
        ConfigError: Names the first one, the closest modality and all modalities.
    """
    for name in names:
        if name not in known:
            raise ConfigError(f'unknown modality {name!r}{closest(name, known)} There are {list(known)}.')


def band_names(name: str, entry: Mapping) -> tuple:
    """Names of an entry's channels: its ``bands``, or ``<name>_1`` .. ``<name>_C``."""
    return tuple(entry.get('bands') or (f'{name}_{i + 1}' for i in range(entry['channels'])))


def statistics(entry: Mapping) -> tuple:
    """Mean and standard deviation of an entry as float32 tensors of shape ``(C, 1, 1)``; 0 and 1 where the entry has none."""
    channels = entry['channels']

    def expand(value, default):
        tensor = torch.as_tensor(default if value is None else value, dtype=torch.float32).reshape(-1, 1, 1)
        return tensor.expand(channels, 1, 1).clone()

    return expand(entry.get('mean'), 0.), expand(entry.get('std'), 1.)


def encoder_order(entry: Mapping) -> list:
    """The channels in the order in which the encoder sees them, as indices into what the reader gives.

    ``channel_order='bgr'`` reverses an image's three channels, for weights that were trained on images as OpenCV reads them (the
    published CMX and SUN-RGBD models); ``mean`` and ``std`` are then in that order too. Without the key the order is the reader's.

    Raises:
        ConfigError: If the entry's ``channel_order`` is unknown, or is ``'bgr'`` without three channels.
    """
    order, channels = entry.get('channel_order') or 'rgb', entry['channels']
    if order not in ('rgb', 'bgr') or (order == 'bgr' and channels != 3):
        raise ConfigError(f"channel_order must be 'rgb' or, with 3 channels, 'bgr'; got {order!r} with {channels} channels.")
    return list(range(channels)) if order == 'rgb' else [2, 1, 0]


def concat(inputs: Mapping, modalities: Mapping, axis: int = 1):
    """Concatenate arrays or tensors by modality along the channel axis, in the order of ``modalities``.

    Args:
        inputs (Mapping[str, Tensor | ndarray]): For example ``(N, C, H, W)`` tensors, or ``(H, W, C)`` arrays with ``axis=-1``.
        modalities (Mapping[str, dict]): The entries; all must be in ``inputs``.
        axis (int): The channel axis. Defaults to 1.

    Returns:
        Tensor | ndarray: With the sum of the channels along ``axis``.

    Raises:
        DataError: If a modality is missing.
    """
    missing = [name for name in modalities if inputs.get(name) is None]
    if missing:
        raise DataError(f'modality {missing} is missing; got {[k for k, v in inputs.items() if v is not None]}.')
    parts = [inputs[name] for name in modalities]
    if isinstance(parts[0], np.ndarray):
        dtype = np.result_type(*parts)
        return np.concatenate([part.astype(dtype, copy=False) for part in parts], axis=axis)
    return torch.cat(parts, dim=axis)


def split(x, modalities: Mapping, axis: int = 1) -> dict:
    """The inverse of :func:`concat`.

    Args:
        x (Tensor | ndarray): Channels concatenated in the order of ``modalities``.
        modalities (Mapping[str, dict]): The entries.
        axis (int): The channel axis. Defaults to 1.

    Returns:
        dict[str, Tensor | ndarray]: Views into ``x`` by modality.

    Raises:
        ConfigError: If ``x`` has another number of channels than the entries together.
    """
    sizes = {name: entry['channels'] for name, entry in modalities.items()}
    if x.shape[axis] != sum(sizes.values()):
        raise ConfigError(f'an input of shape {tuple(x.shape)} has {x.shape[axis]} channels along axis {axis}, '
                          f'but the modalities have {sizes} = {sum(sizes.values())}. Concatenate them in this order.')
    if isinstance(x, np.ndarray):
        bounds = np.cumsum(list(sizes.values()))[:-1]
        return dict(zip(sizes, np.split(x, bounds, axis=axis)))
    return dict(zip(sizes, torch.split(x, list(sizes.values()), dim=axis)))


def non_finite(name: str, x: torch.Tensor, bands: Sequence | None = None, ids: Sequence | None = None) -> str | None:
    """Say where a batch holds values that are not finite.

    Args:
        name (str): The modality.
        x (Tensor): ``(N, C, ...)`` of any dtype.
        bands (Sequence[str], optional): Names of the channels.
        ids (Sequence[str], optional): Names of the samples; by default their index.

    Returns:
        str | None: Modality, number of samples and the first of them, channels and number of values; None if all values are finite.
    """
    if not x.is_floating_point() or bool(torch.isfinite(x).all()):
        return None
    bad = ~torch.isfinite(x).reshape(*x.shape[:2], -1)
    samples, channels = (bad.any(dim=2).any(dim=dim).nonzero()[:, 0].tolist() for dim in (1, 0))

    def listed(indices: list, names: Sequence | None) -> str:
        return some([names[i] if names is not None and i < len(names) else i for i in indices], 5)

    return (f'modality {name!r} has values that are not finite in {len(samples)} of {len(x)} samples ({listed(samples, ids)}), '
            f'channels ({listed(channels, bands)}), {int(bad.sum())} values')


def check_finite(inputs: Mapping, modalities: Mapping, ids: Sequence | None = None) -> None:
    """Refuse a batch with NaN or infinite values: one of them makes a whole feature map, prediction or feature NaN.

    Args:
        inputs (dict[str, Tensor]): ``(N, C, H, W)`` by modality.
        modalities (dict[str, dict]): The entries; of each, ``bands`` name the channels in the message.
        ids (Sequence[str], optional): Names of the samples; by default their index.

    Raises:
        DataError: Names modality, samples, channels and the number of values.
    """
    for name, x in inputs.items():
        text = non_finite(name, x, (modalities.get(name) or {}).get('bands'), ids) if isinstance(x, torch.Tensor) else None
        if text:
            raise DataError(f'{text}. Fill them first, for example with the mean of the modality, or leave the samples out.')


def check_finite_rows(what: str, x, names: Sequence | None = None, samples: str = 'samples') -> None:
    """Refuse features, embeddings or scores of samples that are not finite.

    Args:
        what (str): What the rows are, for the message.
        x (Tensor | ndarray): ``(N, F)``.
        names (Sequence[str], optional): Of the N samples; by default their number.
        samples (str): What the message calls the samples.

    Raises:
        DataError: Names the samples.
    """
    x = x if isinstance(x, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    broken = (~x.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    if broken:
        raise DataError(f'{what} are not finite (NaN or infinite) for {len(broken)} of {len(x)} {samples}: '
                        f'{some([names[i] if names is not None else f"number {i}" for i in broken], 5)}. '
                        'Look at their images, and at the weights of the model.')
