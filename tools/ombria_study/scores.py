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


def iou(areas: Sequence[Sequence[int]]) -> float:
    """IoU of flood in percent over all pixels of some groups, of which :func:`count` tells each."""
    found, wrong, missed = np.sum(areas, axis=0).tolist()
    return 100 * found / (found + wrong + missed)
