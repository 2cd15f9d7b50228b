"""The baseline without a network: quadratic logistic regression on the values around a pixel."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from decur.readers.files import AutoReader

from .scores import GROUPS, STEPS, at_threshold, best_step, group_of, histogram

#: Folders of the sensors.
SENSORS = {'s1': ('s1', ), 's2': ('s2', ), 's1-s2': ('s1', 's2')}
#: Pixels of each labelled chip that are trained on.
PIXELS = 4096
#: Side of the square whose mean is a feature.
WINDOW = 9


def features(chip: str, data: Path, sensors: str) -> tuple:
    """Values before and after and their means over 9x9 pixels, ``(pixels, 2 * bands)`` float32; and the label, ``(pixels, )``."""
    read = AutoReader()
    image = np.concatenate([read(str(data / folder / f'{chip}.tif')) for folder in SENSORS[sensors]], axis=2).astype(np.float32)
    means = np.stack([uniform_filter(band, WINDOW) for band in image.transpose(2, 0, 1)], axis=2)
    return np.concatenate([image, means], axis=2).reshape(-1, 2 * image.shape[2]), read(str(data / 'label' / f'{chip}.png')).reshape(-1)


def per_pixel(data: Path, sensors: str, labelled: Sequence[str], tested: Sequence[str], seed: int) -> dict:
    """Train on the labelled chips, test on the others.

    Args:
        data: Folder of the prepared data.
        sensors: A key of :data:`SENSORS`.
        labelled, tested: Ids of chips.
        seed: Of the pixels that are drawn from each labelled chip.

    Returns:
        dict: As :func:`~ombria_study.runs.measure`.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for chip in labelled:
        values, label = features(chip, data, sensors)
        chosen = rng.choice(len(label), PIXELS, replace=False)
        drawn.append((values[chosen], label[chosen]))
    values, labels = (np.concatenate(parts) for parts in zip(*drawn))
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(),
                          LogisticRegression(max_iter=300, tol=1e-3))
    model.fit(values, labels)
    found = {group: np.zeros((2, STEPS), np.int64) for group in GROUPS}
    for chip in tested:
        found[group_of(chip)] += _histogram(model, *features(chip, data, sensors))
    step = best_step(sum(_histogram(model, *features(chip, data, sensors)) for chip in labelled))
    return dict(areas={group: at_threshold(counts, STEPS // 2).tolist() for group, counts in found.items()},
                fitted={group: at_threshold(counts, step).tolist() for group, counts in found.items()}, threshold=step / STEPS)


def _histogram(model, values: np.ndarray, label: np.ndarray) -> np.ndarray:
    return histogram(model.predict_proba(values)[:, 1], label)
