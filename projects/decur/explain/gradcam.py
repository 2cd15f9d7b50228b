"""Where in the picture common and unique dimensions look (Algorithm 2, parts 3 and 4)."""
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from decur.errors import ConfigError, DataError

from .representation import BlockMeans

#: What is kept of an attribution: its sign, what raises the output, or its size.
SIGNS = ('signed', 'positive', 'absolute')


def grad_cam(means: BlockMeans, images: Tensor, size: Sequence[int] | None = None, sign: str = 'signed') -> dict:
    """Grad-CAM (Selvaraju et al., ICCV 2017; captum's ``LayerGradCam``) of the mean of each block.

    Args:
        means: the function that is explained; its ``tap`` is the layer.
        images: (N, C, H, W), normalised.
        size: (height, width) that the maps are upsampled to, bilinearly. Defaults to that of the images.
        sign: one of :data:`SIGNS`. Algorithm 2 keeps the sign (captum's default); Grad-CAM's own definition is ``positive``.

    Returns:
        dict: {block: (N, height, width) float32}.

    Raises:
        ConfigError: If the representation does not depend on the layer (the last tokens beside a class token that is the feature).
    """
    from captum.attr import LayerAttribution, LayerGradCam
    if sign not in SIGNS:
        raise ConfigError(f'sign must be one of {SIGNS}, got {sign!r}.')
    method = LayerGradCam(means, means.tap)
    images = images.detach().requires_grad_()  # so that frozen encoders have a graph too
    out = {}
    for index, block in enumerate(means.blocks):
        maps = _attribute(method, means, images, index, sign == 'positive')
        maps = LayerAttribution.interpolate(maps, tuple(size or images.shape[-2:]), interpolate_mode='bilinear')
        maps = maps[:, 0].detach()
        out[block] = (maps.abs() if sign == 'absolute' else maps).cpu().numpy().astype(np.float32)
    return out


def _attribute(method, means: BlockMeans, images: Tensor, index: int, relu: bool) -> Tensor:
    """Maps (N, 1, h, w) of one block, at the last stage that the representation depends on."""
    while True:
        try:
            return method.attribute(images, target=index, relu_attributions=relu)
        except RuntimeError as error:
            if 'not have been used in the graph' not in str(error):
                raise
            if means.layer is None and means.stage > 0:
                means.stage -= 1
                continue
            raise ConfigError(f'the representation of {means.modality!r} does not depend on {means.layer or "any stage map"}: name '
                              'another layer (layer="backbone.streams.<name>.encoder.<...>", --layer on the command line).') from error


def normalise_maps(maps: np.ndarray) -> np.ndarray:
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


def _check_shapes(maps_a: np.ndarray, maps_b: np.ndarray) -> None:
    if np.shape(maps_a) != np.shape(maps_b):
        raise DataError(f'maps of two modalities must have one shape, got {np.shape(maps_a)} and {np.shape(maps_b)}.')


def saliency_agreement(maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """``norm(a) x norm(b)``, mean per sample: how much two modalities look at the same places.

    Args:
        maps_a: (N, H, W) of one modality.
        maps_b: (N, H, W) of the other, upsampled to the same size.

    Returns:
        np.ndarray: (N,) in [0, 1].
    """
    _check_shapes(maps_a, maps_b)
    return (normalise_maps(maps_a) * normalise_maps(maps_b)).mean(axis=(1, 2))


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
    _check_shapes(maps_a, maps_b)
    if len(maps_a) < 2:
        raise DataError('maps of other samples need at least 2 samples.')
    a, b = normalise_maps(maps_a), normalise_maps(maps_b)
    return (a * (b.sum(axis=0) - b) / (len(b) - 1)).mean(axis=(1, 2))


def saliency_correlation(maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """Correlation over the pixels of two modalities' maps: unlike ``norm(a) x norm(b)`` it does not grow with their brightness.

    Args:
        maps_a: (N, H, W) of one modality.
        maps_b: (N, H, W) of the other.

    Returns:
        np.ndarray: (N,) in [-1, 1]; 0 where a map is flat.
    """
    _check_shapes(maps_a, maps_b)
    a, b = (normalise_maps(maps).astype(np.float64) for maps in (maps_a, maps_b))
    a, b = (maps - maps.mean(axis=(1, 2), keepdims=True) for maps in (a, b))
    scale = np.sqrt((a ** 2).sum(axis=(1, 2)) * (b ** 2).sum(axis=(1, 2)))
    return np.where(scale > 0, (a * b).sum(axis=(1, 2)) / np.where(scale > 0, scale, 1), 0.0)


def resize_maps(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(N, h, w) to (N, height, width), bilinearly."""
    tensor = torch.as_tensor(np.asarray(maps, dtype=np.float32))[:, None]
    return torch.nn.functional.interpolate(tensor, tuple(size), mode='bilinear', align_corners=False)[:, 0].numpy()
