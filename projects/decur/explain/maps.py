"""Saliency maps of two modalities beside each other: do they look at the same places (Algorithm 2, part 4)?"""
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch

from decur.errors import DataError


def normalize_maps(maps: np.ndarray) -> np.ndarray:
    """Every map of (N, H, W) from its minimum to its maximum, onto 0 to 1; a flat map becomes 0."""
    maps = np.asarray(maps, dtype=np.float32)
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    spread = high - low
    return np.where(spread > 0, (maps - low) / np.where(spread > 0, spread, 1), 0)


def scale_maps(maps: np.ndarray) -> np.ndarray:
    """Every map of (N, H, W) divided by its largest absolute value, for pictures: 0 stays 0; a map of zeros stays one."""
    maps = np.asarray(maps, dtype=np.float32)
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return maps / np.where(largest > 0, largest, 1)


def resize_maps(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(N, h, w) to (N, height, width), bilinearly."""
    tensor = torch.as_tensor(np.asarray(maps, dtype=np.float32))[:, None]
    return torch.nn.functional.interpolate(tensor, tuple(size), mode='bilinear', align_corners=False)[:, 0].numpy()


def saliency_statistics(maps: Mapping[str, np.ndarray]) -> dict:
    """All three statistics of every pair of modalities, for which every map is normalized once.

    Args:
        maps: {modality: (N, H, W)}, at least 2 samples, upsampled to one size.

    Returns:
        dict: {(modality, modality): dict of (N,) arrays}: ``agreement`` (:func:`saliency_agreement`), ``others``
        (:func:`agreement_of_others`), ``correlation`` (:func:`saliency_correlation`).
    """
    normalized = {name: normalize_maps(m) for name, m in maps.items()}
    return {(a, b): {name: statistic(normalized[a], normalized[b]) for name, statistic in _STATISTICS.items()}
            for a, b in combinations(normalized, 2)}


def saliency_agreement(maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """``norm(a) x norm(b)``, mean per sample: how much two modalities look at the same places.

    Args:
        maps_a: (N, H, W) of one modality.
        maps_b: (N, H, W) of the other, upsampled to the same size.

    Returns:
        np.ndarray: (N,) in [0, 1].
    """
    return _agreement(normalize_maps(maps_a), normalize_maps(maps_b))


def agreement_of_others(maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """What :func:`saliency_agreement` would be if a modality's map told nothing about the sample.

    ``norm(a) x norm(b)`` is large for maps that are bright all over or always look at the same place, whatever they are of: only what
    is above this is agreement about a sample, and only that can be compared between blocks.

    Args:
        maps_a: (N, H, W) of one modality, at least 2 samples.
        maps_b: (N, H, W) of the other.

    Returns:
        np.ndarray: (N,) mean of ``norm(a) x norm(b)`` of a sample's map a with the maps b of all other samples.
    """
    return _agreement_of_others(normalize_maps(maps_a), normalize_maps(maps_b))


def saliency_correlation(maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """Correlation over the pixels of two modalities' maps: unlike ``norm(a) x norm(b)`` it does not grow with their brightness.

    Args:
        maps_a: (N, H, W) of one modality.
        maps_b: (N, H, W) of the other.

    Returns:
        np.ndarray: (N,) in [-1, 1]; 0 where a map is flat.
    """
    return _correlation(normalize_maps(maps_a), normalize_maps(maps_b))


def _agreement(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    _check_shapes(a, b)
    return (a * b).mean(axis=(1, 2))


def _agreement_of_others(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    _check_shapes(a, b)
    if len(a) < 2:
        raise DataError('maps of other samples need at least 2 samples.')
    return (a * (b.sum(axis=0) - b) / (len(b) - 1)).mean(axis=(1, 2))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    _check_shapes(a, b)
    a, b = (maps.astype(np.float64) for maps in (a, b))
    a, b = (maps - maps.mean(axis=(1, 2), keepdims=True) for maps in (a, b))
    scale = np.sqrt((a ** 2).sum(axis=(1, 2)) * (b ** 2).sum(axis=(1, 2)))
    return np.where(scale > 0, (a * b).sum(axis=(1, 2)) / np.where(scale > 0, scale, 1), 0.0)


def _check_shapes(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise DataError(f'maps of two modalities must have one shape, got {a.shape} and {b.shape}.')


#: Of normalized maps (N, H, W) of two modalities, per sample.
_STATISTICS = dict(agreement=_agreement, others=_agreement_of_others, correlation=_correlation)
