"""What a new project starts with, from what is known of the data and the machine: kind of a modality, augmentation, encoder, schedule.

Proposals are starting points that a person reads and changes; the rules are in the tables below, and nothing is learnt from results.
"""
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from decur.sensors import S2A_BANDS, S2C_BANDS

#: Kind of data: what it is, and the augmentation of the published runs (:class:`~decur.transforms.ViewAugmentation` has the table).
KINDS = {
    'sar': ('radar backscatter', dict(jitter_prob=0.0, grayscale_prob=0.2, blur_prob=0.5)),
    'optical': ('multispectral images', dict(jitter_prob=0.8, grayscale_prob=0.2, blur_prob=0.5, solarize_prob=0.2,
                                             solarize_range=(0.0, 0.001))),
    'rgb': ('photographs, aerial or indoor', dict(jitter_prob=0.8, grayscale_prob=0.2, blur_prob=0.5)),
    'elevation': ('heights or depths', dict(jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0)),
    'hha': ('depth as disparity, height and angle', dict(jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0)),
    'other': ('something else: crops, flips and blur only', dict(jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.5)),
}
#: What indoor images have in common: larger crops, and up is up.
INDOOR = dict(scale=(0.5, 1.0), vflip_prob=0.0)
_LABEL = re.compile(r'label|mask|annot|truth|(^|_)(gt|lc|lulc|seg|class|classes)($|_)', re.I)
_ELEVATION = re.compile(r'dem|dsm|dtm|ndsm|elev|height|depth|topo', re.I)


def looks_like_labels(name: str, channels: int, dtypes: Sequence[str]) -> bool:
    """Whether a folder holds label maps, by its name and by one channel of integers."""
    return bool(_LABEL.search(name)) and channels == 1 and all(dtype.startswith(('uint', 'int')) for dtype in dtypes)


def is_depth(name: str, dtypes: Sequence[str]) -> bool:
    """Whether a folder holds depth of a camera as integers, where 0 is what the camera did not see."""
    return 'depth' in name.lower() and any(dtype.startswith(('uint', 'int')) and dtype != 'uint8' for dtype in dtypes)


def guess_kind(name: str, bands: Sequence[str], dtypes: Sequence[str], low: float, high: float) -> str:
    """The kind of data of a folder (a key of :data:`KINDS`), by its name, bands and values.

    Args:
        name (str): Of the folder.
        bands (Sequence[str]): As the files call them, or numbers.
        dtypes (Sequence[str]): Types in the files.
        low (float), high (float): Lowest and highest value.
    """
    channels = len(bands)
    if 'hha' in name.lower() and channels == 3:
        return 'hha'
    if channels == 1 and _ELEVATION.search(name):
        return 'elevation'
    if set(bands) <= {'VV', 'VH', 'HH', 'HV'} or re.search(r'sar|radar|(^|[^a-z])s1($|[^0-9])|sentinel-?_?1', name, re.I) and channels <= 4:
        return 'sar'
    if tuple(bands) in (S2A_BANDS, S2C_BANDS) or channels > 4:
        return 'optical'
    if channels <= 2 and low < 0 and -100 < low and high < 60:
        return 'sar'  # decibels
    if channels in (3, 4):
        return 'rgb' if all(dtype == 'uint8' for dtype in dtypes) else 'optical'
    return 'other'


def augmentation(kind: str, size: int, value_range: Sequence | None, indoor: bool) -> dict:
    """An entry's ``augmentation``.

    Args:
        kind (str): Of :data:`KINDS`.
        size (int): Side of a view, pixels.
        value_range (tuple[float], optional): Lowest and highest value; None for uint8.
        indoor (bool): Whether the data are indoor images.
    """
    found = dict(type='ViewAugmentation', size=size, **KINDS[kind][1])
    if indoor:
        found.update(INDOOR)
    if value_range is not None:
        found['value_range'] = tuple(value_range)
    return found


def rounded_range(low: float, high: float) -> tuple:
    """A range that holds both values, with some room: values beyond it are clipped in training."""
    room = 0.1 * (high - low) or 1.0
    step = 10.0**(math.floor(math.log10(high - low)) - 1) if high > low else 1.0
    lowest = 0.0 if low >= 0 else math.floor((low - room) / step) * step
    return round(lowest, 10), round(math.ceil((high + room) / step) * step, 10)


class Plan(NamedTuple):
    """Encoder and schedule.

    Attributes:
        size (int): Side of a view, pixels.
        encoder (dict): Of every modality.
        projector (int): Channels of the projector and dimensions K of the embedding; three quarters of them are common.
        batch_size (int): Of a process.
        workers (int): Processes that load data.
        epochs (int): Of pretraining.
        lr (float): Of AdamW in pretraining.
        iterations (int): Of transfer.
        why (str): For people.
    """

    size: int
    encoder: Mapping
    projector: int
    batch_size: int
    workers: int
    epochs: int
    lr: float
    iterations: int
    why: str


def propose(samples: int, side: int, modalities: int, gpu_gib: float, cpus: int) -> Plan:
    """Encoder and schedule for the size of the data and the machine.

    Args:
        samples (int): For pretraining.
        side (int): The smallest side of an image, pixels.
        modalities (int): How many.
        gpu_gib (float): Memory of the GPU, GiB; 0 without one.
        cpus (int): Cores.
    """
    def power_of_two(most: float, least: int = 2) -> int:
        return max(2**int(math.log2(max(most, 1))), least)

    # At least four batches an epoch where the data allow it; a batch of one has no statistics.
    enough = max(samples // 4, 2)
    workers = max(0, min(cpus - 1, 8))
    if not gpu_gib:
        size, batch = min(64, side), power_of_two(min(32, enough))
        return Plan(size, dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2)), 512, batch,
                    min(workers, 2), _epochs(1500, batch, samples), 1e-3, 300,
                    f'{samples} samples and no GPU: a small residual network on views of {size} pixels')
    size = min(224, side)
    depth = 50 if samples >= 5000 and gpu_gib >= 8 else 18
    # Two views of a modality at 224 pixels in float32 keep about 0.2 GiB for the backward pass of ResNet50, and 0.06 of ResNet18's.
    per_sample = (0.2 if depth == 50 else 0.06) * modalities * (size / 224)**2
    batch = power_of_two(min(0.7 * gpu_gib / per_sample, 256, enough))
    projector = 8192 if depth == 50 else 2048
    return Plan(size, dict(type='mmpretrain.ResNet', depth=depth), projector, batch, workers, _epochs(30000, batch, samples), 5e-4,
                4000, f'{samples} samples and a GPU of {gpu_gib:.0f} GiB: ResNet{depth} on views of {size} pixels')


def _epochs(iterations: int, batch: int, samples: int) -> int:
    return int(min(max(round(iterations * batch / samples), 10), 400))


def group_of(sample_id: str) -> str:
    """What ids of one scene have in common: the id without its last number (``site3_tile`` of ``site3_tile_0012``)."""
    return re.sub(r'[-_.@ ]*\d+$', '', sample_id) or sample_id


def split_ids(ids: Sequence[str], test_share: float, rng) -> tuple:
    """Training and test ids, and how they were told apart.

    Where the ids name at least five scenes (:func:`group_of`, or their folders) scenes are kept together, since tiles of one scene on
    both sides of a split make a test too easy.

    Args:
        ids (Sequence[str]): All.
        test_share (float): Of the samples, about.
        rng (Generator): NumPy's.

    Returns:
        tuple: ``(train, test, how)``.
    """
    groups, how = {name: [name] for name in ids}, 'sample'
    for kind, key in (('folder', lambda name: name.rpartition('/')[0]), ('scene', group_of)):
        found = {}
        for name in ids:
            found.setdefault(key(name), []).append(name)
        if 5 <= len(found) <= len(ids) / 2:
            groups, how = found, kind
            break
    names, test = sorted(groups), []
    wanted = max(round(test_share * len(ids)), 1)
    for i in rng.permutation(len(names)):
        if len(test) < wanted and len(test) + len(groups[names[i]]) < len(ids):
            test += groups[names[i]]
    chosen = set(test)
    return [name for name in ids if name not in chosen], sorted(test), how
