"""What lies in one's own co-registered folders: their kinds, statistics and labels, from a sample of the images."""
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from decur.datasets import PairedRasterDataset
from decur.errors import ConfigError, DataError, closest
from decur.prepare.inspect import detect_layout
from decur.readers.files import read_size
from decur.transforms.loading import ModalityLoader
from decur.transforms.radiometry import has_offset

from .proposals import KINDS, guess_kind, looks_like_labels, rounded_range

#: Pixels of an image and band that percentiles are estimated from.
PIXELS = 4096


class Labels(NamedTuple):
    """Label maps: ``files`` of them, and ``{value in the files: class or None}``."""

    files: dict
    values: dict


class Found(NamedTuple):
    """What lies in a folder.

    Attributes:
        root (Path): The folder.
        entries (dict[str, dict]): Modality entries, with statistics, without augmentation and encoder.
        kinds (dict[str, str]): Kind of data by modality.
        ranges (dict[str, tuple | None]): Lowest and highest value by modality, None for uint8.
        ids (list[str]): Samples that have every modality, and the label where there are labels.
        gaps (dict[str, int]): How many samples lack a modality (or ``'label'``).
        side (int): The smallest side of an image, pixels.
        one_size (bool): Whether all images that were looked at have the same size.
        labels (Labels | None): The label maps.
        notes (list[str]): What a person should know.
    """

    root: Path
    entries: dict
    kinds: dict
    ranges: dict
    ids: list
    gaps: dict
    side: int
    one_size: bool
    labels: Labels | None
    notes: list


def find_parts(root: str | Path, labels: str | None = None) -> tuple:
    """The folders of rasters, and which of them holds labels.

    Args:
        root (str | Path): A folder with one folder for each modality.
        labels (str, optional): Name of the folder of labels, ``'none'``, or None to guess.

    Returns:
        tuple: ``({folder: Part} of the modalities, (folder, Part) of the labels or None)``.

    Raises:
        DataError: If it is no such folder.
        ConfigError: If it is a data set that has configs already, or ``labels`` is not there.
    """
    layout = detect_layout(root)
    if layout.name != 'paired':
        command = layout.command.format(root=root, entries='...')
        raise ConfigError(f'{root} is {layout.title}, for which there are configs: {command}')
    parts = layout.parts()
    if labels not in (None, 'none') and labels not in parts:
        raise ConfigError(f'--labels {labels}: {root} has no folder of rasters of that name{closest(labels, parts)} It has '
                          f'{sorted(parts)}.')
    chosen = labels
    if labels is None:
        named = [name for name, part in parts.items() if looks_like_labels(name, len(part.bands), _types(part))]
        chosen = named[0] if len(named) == 1 else None
    modalities = {name: part for name, part in parts.items() if name != chosen}
    if len(modalities) < 2:
        raise DataError(f'{root} has {len(modalities)} folder(s) of images ({", ".join(modalities)}); a pair needs two: one folder for '
                        'each sensor, files of the same name in each.')
    return modalities, (chosen, parts[chosen]) if chosen in parts else None


def _types(part) -> list:
    """Types of the first files that can be read."""
    for name in part.ids[:3]:
        try:
            return [plane.dtype.name for plane in part.read(name).values()]
        except DataError:
            continue
    return []


def modality_name(folder: str) -> str:
    """A folder's name as a modality may be called."""
    name = re.sub(r'\W+', '_', folder).strip('_').lower()
    return name if name[:1].isalpha() else f'm_{name}'


def look(root: str | Path, labels: str | None = None, kinds: Mapping | None = None, classes: Sequence = (), count: int = 64,
         seed: int = 0, progress: Callable | None = None) -> Found:
    """Read a sample of the data and describe it.

    Args:
        root (str | Path): A folder with one folder for each modality.
        labels (str, optional): As :func:`find_parts`.
        kinds (dict[str, str], optional): Kind of data by folder or modality, where the guess is wrong.
        classes (Sequence[str]): Names of the classes, in the order of their values; by default they are called after their values.
        count (int): Images of each modality to read, drawn at random. Defaults to 64.
        seed (int): Of the draw.
        progress (Callable, optional): Called with ``(done, total)`` images.

    Raises:
        DataError: If there is no such folder, no sample has all modalities, or a file cannot be read.
        ConfigError: If a name in ``kinds`` is unknown, or there are not as many ``classes`` as values.
    """
    if count < 2:
        raise ConfigError(f'count must be at least 2, got {count}.')
    root = Path(root)
    parts, labelled = find_parts(root, labels)
    folders = {modality_name(folder): folder for folder in parts}
    if len(folders) < len(parts):
        raise DataError(f'{root}: the folders {sorted(parts)} have names that differ in signs only; rename one.')
    kinds = _known_kinds(kinds or {}, folders)
    everyone = set().union(*(part.ids for part in parts.values()))
    common = set.intersection(*(set(part.ids) for part in parts.values()))
    if not common:
        examples = ', '.join(f'{name}/{part.ids[0]}' for name, part in parts.items())
        raise DataError(f'{root}: no file name is in every folder of images ({examples}). Give files of the same place the same name, or '
                        'write a config with files=dict(folder=..., pattern=...) (docs/data.md).')
    gaps = {folder: len(everyone - set(part.ids)) for folder, part in parts.items() if everyone - set(part.ids)}
    if labelled:
        without = common - set(labelled[1].ids)
        if without == common:
            raise DataError(f'{root}: no file of {labelled[0]} has the name of an image. Rename them, or leave labels out with '
                            '--labels none.')
        gaps.update({labelled[0]: len(without)} if without else {})
        common -= without
    ids = sorted(common)
    rng = np.random.default_rng(seed)
    drawn = [ids[i] for i in sorted(rng.permutation(len(ids))[:count])]
    total = len(drawn) * (len(parts) + bool(labelled))
    done = 0

    def step():
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    entries, found_kinds, ranges, notes, sizes = {}, {}, {}, [], {}
    for name, folder in folders.items():
        entry, found_kinds[name], ranges[name], own = _describe(root, name, parts[folder], drawn, rng, step, kinds.get(name))
        entries[name] = entry
        notes += own
    dataset = PairedRasterDataset(entries, data_root=str(root), missing='skip')
    wanted = set(drawn)
    for i in range(len(dataset)):
        sample = dataset.get_data_info(i)
        if sample['sample_id'] in wanted:
            for name, source in sample['sources'].items():
                sizes.setdefault(name, set()).add(read_size(source))
    every = set().union(*sizes.values())
    values = _label_values(labelled[1], drawn, classes, step, notes) if labelled else None
    return Found(root, entries, found_kinds, ranges, ids, gaps, min(min(size) for size in every), len(every) == 1,
                 Labels(labelled[1].files, values) if labelled else None, notes)


def _known_kinds(kinds: Mapping, folders: Mapping) -> dict:
    by_folder = {folder: name for name, folder in folders.items()}
    out = {}
    for given, kind in kinds.items():
        name = by_folder.get(given, given)
        if name not in folders:
            raise ConfigError(f'--kind {given}={kind}: no modality is called {given!r}{closest(given, folders)} There are '
                              f'{sorted(folders)}.')
        if kind not in KINDS:
            raise ConfigError(f'--kind {given}={kind}: no such kind{closest(kind, KINDS)} Known: {", ".join(KINDS)}.')
        out[name] = kind
    return out


def _describe(root: Path, name: str, part, drawn: Sequence, rng, step: Callable, kind: str | None) -> tuple:
    """A modality's entry with statistics, its kind, its range of values, and notes."""
    types = _types(part)
    numbered = part.bands[0] == '1'
    entry = dict(channels=len(part.bands), files=part.files)
    if not numbered:
        entry['bands'] = tuple(part.bands)
    if any(kind_of != 'uint8' for kind_of in types):
        entry['reader'] = dict(type='AutoReader', dtype='float32')
    notes, loader = [], None
    count, total, squares = (np.zeros(len(part.bands)) for _ in range(3))
    pixels = []
    place = {sample: path for sample, path in _paths(root, part, name)}
    for sample in drawn:
        if loader is None:
            if part.bands[10:11] == ('B10', ) and has_offset(part.read(sample)['B10']) is not None:
                # Takes the offset off where an image has it, and does nothing elsewhere.
                entry['radiometry'] = [dict(type='RemoveOffset')]
            loader = ModalityLoader(name, entry)
        image, missing = loader(place[sample])
        values = image.reshape(-1, image.shape[2]).astype(np.float64)
        there = np.ones(values.shape, bool) if missing is None else ~missing.reshape(values.shape)
        count += there.sum(0)
        total += np.where(there, values, 0).sum(0)
        squares += np.where(there, values**2, 0).sum(0)
        rows = rng.integers(0, len(values), min(PIXELS, len(values)))
        pixels.append(np.where(there[rows], values[rows], np.nan))
        step()
    empty = [band for band, n in zip(part.bands, count) if not n]
    if empty:
        raise DataError(f'{root / part.files["folder"]}: band {", ".join(empty)} has no valid pixel in {len(drawn)} images. Leave it out '
                        '(reader=dict(bands=[...])), or mend the nodata value of the files.')
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    constant = [band for band, s in zip(part.bands, std) if s < 1e-6 * max(1.0, abs(mean).max())]
    if constant:
        notes.append(f'{name}: band {", ".join(constant)} is the same everywhere in the images that were read; its std is set to 1')
        std = np.where(std < 1e-6 * max(1.0, abs(mean).max()), 1.0, std)
    entry['mean'], entry['std'] = ([float(f'{value:.6g}') for value in numbers] for numbers in (mean, std))
    pixels = np.concatenate(pixels)
    low, high = np.nanpercentile(pixels, 0.01), np.nanpercentile(pixels, 99.99)
    kind = kind or guess_kind(part.files['folder'], part.bands, types, low, high)
    return entry, kind, None if 'reader' not in entry else rounded_range(low, high), notes


def _paths(root: Path, part, name: str):
    """``(id, file)`` of a part."""
    dataset = PairedRasterDataset({name: dict(channels=len(part.bands), files=part.files)}, data_root=str(root))
    for i in range(len(dataset)):
        sample = dataset.get_data_info(i)
        yield sample['sample_id'], sample['sources'][name]


def _label_values(part, drawn: Sequence, classes: Sequence, step: Callable, notes: list) -> dict:
    """Which values the labels have, and what they are called."""
    values: set = set()
    for sample in drawn:
        planes = list(part.read(sample).values())
        if len(planes) != 1 or planes[0].dtype.kind not in 'iu':
            raise DataError(f'label {part.files["folder"]}/{sample} has {len(planes)} band(s) of {planes[0].dtype}: a label map is one '
                            'band of integers. Name the folder of labels with --labels, or leave them out with --labels none.')
        values |= set(np.unique(np.ma.getdata(planes[0])[~np.ma.getmaskarray(planes[0])]).tolist())
        step()
    if len(values) > 256:
        raise DataError(f'the labels in {part.files["folder"]} have {len(values)} different values; a label map has a value for each '
                        'class. Leave them out with --labels none.')
    known = sorted(values)
    void = {255: None} if 255 in values and len(values) > 2 else {}
    named = [value for value in known if value not in void]
    if classes and len(classes) != len(named):
        raise ConfigError(f'--classes names {len(classes)} classes, and the labels have {len(named)} values: {named}.')
    notes.append(f'labels have the values {known} in the maps that were read; another value stops the training and is named then')
    return {**{value: (classes[i] if classes else f'class_{value}') for i, value in enumerate(named)}, **void}
