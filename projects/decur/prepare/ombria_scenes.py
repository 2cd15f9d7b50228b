"""Which chips of OMBRIA show one scene, and a split that keeps scenes apart.

The released test set does not test generalization: 63 of its 70 chips border on a training chip. The chips were cut from a few
large scenes, one after the other, so a scene is a range of chip numbers. :func:`find_scenes` finds them in the pictures, and
:data:`FIRST_CHIPS` keeps what it finds in the released ones (Sentinel-1 before, Sentinel-2 before and after).
"""
from collections.abc import Mapping, Sequence

import numpy as np

from .folder_release import labelled_subsets

#: Number of the first chip of every scene.
FIRST_CHIPS = (1, 74, 135, 258, 309, 380, 436, 563, 708)
#: Every fourth scene is for the test.
TEST_SCENES = (2, 6)
#: Of the training scenes, those just before a test scene are for the choice of settings; the other five are trained on then.
VALIDATION_SCENES = (1, 5)
#: Sizes and seeds of the labelled subsets of the training chips.
FEW, SEEDS = (8, 32, 128), range(10)
#: Sizes of the labelled subsets of the chips that are trained on while settings are chosen.
FEW_FIT = (32, )


def find_scenes(borders: Mapping[int, Sequence[np.ndarray]], threshold: float = 0.9, least: int = 40) -> list[int]:
    """Scenes of chips that were cut one after the other.

    Two chips are neighbours if facing borders (right of one and left of the other, or bottom and top) correlate above a threshold in every
    image of them. A scene ends where no chip has a neighbour on the other side; scenes of few chips are joined with the next.

    Args:
        borders: {number of the chip: images (H, W, C)}, at least two chips.
        threshold: of the correlation, over the pixels and channels of a border.
        least: chips of a scene.

    Returns:
        list[int]: Number of the first chip of every scene.
    """
    numbers = sorted(borders)
    touching = np.ones((len(numbers), len(numbers)), dtype=bool)
    for images in zip(*(borders[number] for number in numbers)):
        stack = np.stack(images).astype(np.float32)
        facing = np.maximum(_correlations(stack[:, :, -1], stack[:, :, 0]), _correlations(stack[:, -1], stack[:, 0]))
        touching &= np.maximum(facing, facing.T) > threshold
    furthest = [max(np.flatnonzero(row), default=0) for row in touching]
    firsts, first, reach = [], 0, 0
    for place in range(len(numbers)):
        if place > reach and place - first >= least:
            firsts.append(numbers[first])
            first = place
        reach = max(reach, place, furthest[place])
    if not firsts or len(numbers) - first >= least:  # the last one, if it is small, belongs to that before
        firsts.append(numbers[first])
    return firsts


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, L, C) and (M, L, C) to correlations (N, M); 0 for a border of one value."""
    def standardize(x):
        x = x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(axis=1, keepdims=True)
        norm = np.sqrt((x ** 2).sum(axis=1, keepdims=True))
        return x / np.where(norm > 0, norm, np.inf)

    return standardize(a) @ standardize(b).T


def splits(samples: Sequence[str]) -> dict[str, list[str]]:
    """Lists of ids: ``scene_train``, ``scene_test``, ``scene_few{8,32,128}_seed{0..9}``, ``event2021`` and one for each event of 2021.

    For the choice of settings ``scene_train`` is divided into ``scene_fit`` and ``scene_val``, with the labelled subsets
    ``scene_fit_few32_seed{0..9}`` of the former.

    Args:
        samples: ``train_0001`` and ``test_0013`` (released folder and number), ``albania_0001`` (event and number).
    """
    numbered = sorted((int(sample.rpartition('_')[2]), sample) for sample in samples if sample.startswith(('train_', 'test_')))
    scene = {sample: int(np.searchsorted(FIRST_CHIPS, number, side='right')) - 1 for number, sample in numbered}
    train = [sample for sample in scene if scene[sample] not in TEST_SCENES]
    out = dict(scene_train=sorted(train), scene_test=sorted(set(scene) - set(train)))
    out.update(labelled_subsets(train, FEW, SEEDS, 'scene_few{count}_seed{seed}'))
    fit = [sample for sample in train if scene[sample] not in VALIDATION_SCENES]
    out.update(scene_fit=sorted(fit), scene_val=sorted(set(train) - set(fit)))
    out.update(labelled_subsets(fit, FEW_FIT, SEEDS, 'scene_fit_few{count}_seed{seed}'))
    events = sorted(set(samples) - set(scene))
    out['event2021'] = events
    for event in sorted({sample.rpartition('_')[0] for sample in events}):
        out[f'event2021_{event}'] = [sample for sample in events if sample.rpartition('_')[0] == event]
    return out
