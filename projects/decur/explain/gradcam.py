"""Where in the picture common and unique dimensions look (Algorithm 2, part 3)."""
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from decur.errors import ConfigError, check_choice

from .representation import BlockMeans

#: What is kept of an attribution: its sign, what raises the output, or its size.
SIGNS = ('signed', 'positive', 'absolute')


def grad_cam(means: BlockMeans, images: Tensor, size: Sequence[int] | None = None, sign: str = 'signed') -> dict:
    """Grad-CAM (Selvaraju et al., ICCV 2017; captum's ``LayerGradCam``) of the mean of each block.

    Args:
        means: the function that is explained; its ``tap`` is the layer.
        images: (N, C, H, W), normalized.
        size: (height, width) that the maps are upsampled to, bilinearly. Defaults to that of the images.
        sign: one of :data:`SIGNS`. Algorithm 2 keeps the sign (captum's default); Grad-CAM's own definition is ``positive``.

    Returns:
        dict: {block: (N, height, width) float32}.

    Raises:
        ConfigError: If the representation does not depend on the layer (the last tokens beside a class token that is the feature).
    """
    from captum.attr import LayerAttribution, LayerGradCam
    check_choice('sign', sign, SIGNS)
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
