"""What lies in one's own co-registered folders: their kinds, statistics and labels, from a sample of the images."""
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from decur.datasets import PairedRasterDataset
from decur.datasets.finding import RASTER_SUFFIXES, file_names, folder_names, walk
from decur.errors import ConfigError, DataError, closest
from decur.prepare.inspect import detect_layout
from decur.readers.files import read_size
from decur.readers.store import is_store
from decur.transforms.loading import ModalityLoader
from decur.transforms.radiometry import has_offset

from .names import match_names
from .proposals import KINDS, guess_kind, is_depth, looks_like_labels, rounded_range

#: Pixels of an image and band that percentiles are estimated from.
PIXELS = 4096
#: To find files that cannot be read, all are read if they have so many bytes in all, else so many are opened.
READ, OPENED = 2**28, 4000


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
        broken (dict[str, str]): Samples that are left out since a file cannot be read, with the reason.
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
    broken: dict
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
    try:
        layout = detect_layout(root)
    except DataError:
        _check_folders(Path(root))
        raise
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


def _check_folders(root: Path) -> None:
    """Say what is wanted, where there is no folder of images."""
    def has_images(folder: Path) -> bool:
        return any(Path(name).suffix.lower() in RASTER_SUFFIXES for name in walk(folder))

    if root.is_dir() and not is_store(root) and not any(has_images(root / name) for name in folder_names(root)):
        beside = [name for name in file_names(root) if Path(name).suffix.lower() in RASTER_SUFFIXES]
        found = f'its images lie side by side ({", ".join(beside[:3])}, ...)' if beside else 'it has no folders of images'
        raise DataError(f'{root}: {found}; one folder for each sensor is wanted, with the same file names in each: {root}/sar/NAME.tif and '
                        f'{root}/optical/NAME.tif.')


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
        DataError: If there is no such folder, no sample has all modalities, or none of a modality can be read.
        ConfigError: If a name in ``kinds`` is unknown, or there are not as many ``classes`` as values.
    """
    if count < 2:
        raise ConfigError(f'count must be at least 2, got {count}.')
    root = Path(root)
    parts, labelled = find_parts(root, labels)
    notes = []
    for folder, part in match_names(parts).items():
        if part is not parts[folder]:
            notes.append(_renamed(part))
        parts[folder] = part
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
        both = match_names({'images': part._replace(ids=sorted(common)), 'labels': labelled[1]})
        if both['images'].ids == sorted(common) and both['labels'] is not labelled[1]:
            labelled = labelled[0], both['labels']
            notes.append(_renamed(labelled[1]))
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

    entries, found_kinds, ranges, broken, every = {}, {}, {}, {}, set()
    for name, folder in folders.items():
        entry, found_kinds[name], ranges[name], own = _describe(root, name, parts[folder], drawn, rng, step, kinds.get(name), broken)
        entries[name] = entry
        notes += own
    values = _label_values(labelled[1], drawn, classes, step, notes, broken) if labelled else None
    everything = [*parts.values(), *([labelled[1]] if labelled else [])]
    opened = ids if len(ids) <= OPENED else drawn
    small = opened is ids and sum(_bytes(part, sample) for part in everything for sample in ids) <= READ
    for part in everything:
        for sample in opened:
            if sample not in broken:
                try:
                    every.add(next(iter(part.read(sample).values())).shape if small else read_size(part.source(sample)))
                except DataError as error:
                    broken[sample] = str(error)
    ids = [sample for sample in ids if sample not in broken]
    if len(ids) < 2:
        raise DataError(f'{root}: {len(ids)} sample(s) can be read in every folder, a training needs two. '
                        f'{next(iter(broken.values()), "")}'.rstrip())
    return Found(root, entries, found_kinds, ranges, ids, gaps, broken, min(min(size) for size in every), len(every) == 1,
                 Labels(labelled[1].files, values) if labelled else None, notes)


def _bytes(part, sample: str) -> int:
    """Size of a sample's file; 0 where it is not there."""
    with suppress(DataError, OSError):
        return os.path.getsize(part.source(sample))
    return 0


def _renamed(part) -> str:
    pattern = part.files['pattern'] if isinstance(part.files['pattern'], str) else part.files['pattern'][0]
    return f'{part.files["folder"]}: names are matched by what differs in them, {pattern} with id = {part.ids[0]}, ...'


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


def _describe(root: Path, name: str, part, drawn: Sequence, rng, step: Callable, kind: str | None, broken: dict) -> tuple:
    """A modality's entry with statistics, its kind, its range of values, and notes; what cannot be read goes into ``broken``."""
    if not part.bands:  # none of the first files could be read
        part.read(drawn[0])
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
        try:
            planes = part.read(sample) if loader is None else None
        except DataError as error:
            broken.setdefault(sample, str(error))
            step()
            continue
        if loader is None:
            if is_depth(part.files['folder'], types) and any((image[part.bands[0]] == 0).any() for image in _readable(part, drawn)):
                entry['reader']['missing'] = 0
                notes.append(f"{name}: 0 is taken for a depth that is missing (reader's missing=0 in configs/modalities.py)")
            if part.bands[10:11] == ('B10', ) and has_offset(planes['B10']) is not None:
                # Takes the offset off where an image has it, and does nothing elsewhere.
                entry['radiometry'] = [dict(type='RemoveOffset')]
            loader = ModalityLoader(name, entry)
        try:
            image, missing = loader(place[sample])
        except DataError as error:
            broken.setdefault(sample, str(error))
            step()
            continue
        values = image.reshape(-1, image.shape[2]).astype(np.float64)
        there = np.ones(values.shape, bool) if missing is None else ~missing.reshape(values.shape)
        count += there.sum(0)
        total += np.where(there, values, 0).sum(0)
        squares += np.where(there, values**2, 0).sum(0)
        rows = rng.integers(0, len(values), min(PIXELS, len(values)))
        pixels.append(np.where(there[rows], values[rows], np.nan))
        step()
    if not pixels:
        raise DataError(next(iter(broken.values())))
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


def _readable(part, drawn: Sequence, count: int = 5) -> list:
    """The images of the first samples that can be read."""
    found = []
    for sample in drawn:
        with suppress(DataError):
            found.append(part.read(sample))
        if len(found) == count:
            break
    return found


def _paths(root: Path, part, name: str):
    """``(id, file)`` of a part."""
    dataset = PairedRasterDataset({name: dict(channels=len(part.bands), files=part.files)}, data_root=str(root))
    for i in range(len(dataset)):
        sample = dataset.get_data_info(i)
        yield sample['sample_id'], sample['sources'][name]


def _label_values(part, drawn: Sequence, classes: Sequence, step: Callable, notes: list, broken: dict) -> dict:
    """Which values the labels have, and what they are called."""
    values: set = set()
    for sample in drawn:
        step()
        try:
            planes = list(part.read(sample).values())
        except DataError as error:
            broken.setdefault(sample, str(error))
            continue
        if len(planes) != 1 or planes[0].dtype.kind not in 'iu':
            raise DataError(f'label {part.files["folder"]}/{sample} has {len(planes)} band(s) of {planes[0].dtype}: a label map is one '
                            'band of integers. Name the folder of labels with --labels, or leave them out with --labels none.')
        values |= set(np.unique(np.ma.getdata(planes[0])[~np.ma.getmaskarray(planes[0])]).tolist())
    if not values:
        raise DataError(next(iter(broken.values()), f'the labels in {part.files["folder"]} have no valid pixel.'))
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
