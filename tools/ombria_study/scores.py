"""What is counted of a prediction, by group of chips."""
from collections.abc import Sequence

import numpy as np

#: Where chips are tested: other scenes of the years of the training chips, and four floods of another year.
GROUPS = ('scene_test', 'albania', 'france', 'guyana', 'timor')


def group_of(sample: str) -> str:
    """The group of a chip by its id: the flood of 2021, or the test scenes."""
    return sample.partition('_')[0] if sample.startswith(GROUPS[1:]) else GROUPS[0]


def count(predicted: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Pixels of class 1 found, found where the label is 0, and missed: ``(3, )``."""
    predicted, label = predicted == 1, label == 1
    return np.array([(predicted & label).sum(), (predicted & ~label).sum(), (~predicted & label).sum()])


#: Probabilities of flood are counted in so many steps from 0 to 1.
STEPS = 100


def histogram(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Pixels by label (0, 1) and probability of flood: ``(2, STEPS)``."""
    step = np.minimum((probability * STEPS).astype(np.int64), STEPS - 1)
    return np.stack([np.bincount(step[label == value].ravel(), minlength=STEPS) for value in (0, 1)])


def at_threshold(counts: np.ndarray, step: int) -> np.ndarray:
    """What :func:`count` tells, of a :func:`histogram` where flood is what has a probability of at least ``step / STEPS``."""
    dry, flood = counts
    return np.array([flood[step:].sum(), dry[step:].sum(), flood[:step].sum()])


def best_step(counts: np.ndarray) -> int:
    """The threshold, in steps, at which the IoU of a :func:`histogram` is largest."""
    return max(range(1, STEPS), key=lambda step: iou([at_threshold(counts, step)]))


def iou(areas: Sequence[Sequence[int]]) -> float:
    """IoU of flood in percent over all pixels of some groups, of which :func:`count` tells each."""
    found, wrong, missed = np.sum(areas, axis=0).tolist()
    return 100 * found / (found + wrong + missed)
