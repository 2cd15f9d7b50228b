"""Which bands common and unique dimensions use (Algorithm 2, part 5)."""
import numpy as np
from torch import Tensor

from .representation import BlockMeans


def integrated_gradients(means: BlockMeans, images: Tensor, steps: int = 50, internal_batch: int | None = None) -> dict:
    """Integrated Gradients (Sundararajan et al., ICML 2017; captum) of the mean of each block.

    The path starts where all bands are 0 after normalisation: at every band's mean where the modality's ``mean`` is that of the data, and
    at black where it is 0 (SSL4EO-S12, brought to 8 bit).

    Args:
        means: the function that is explained.
        images: (N, C, H, W), normalized.
        steps: points of the integral (Gauss-Legendre).
        internal_batch: images evaluated at a time; at least N are. Defaults to N, so memory does not grow with ``steps``.

    Returns:
        dict: {block: dict(attributions=(N, C, H, W) float32, delta=(N,))}; ``delta`` is how far the attributions' sum is from the
        difference of outputs: completeness holds up to it.
    """
    from captum.attr import IntegratedGradients
    method = IntegratedGradients(means)
    out = {}
    for index, block in enumerate(means.blocks):
        attributions, delta = method.attribute(images, baselines=0.0, target=index, n_steps=steps,
                                               internal_batch_size=max(internal_batch or 0, len(images)), return_convergence_delta=True)
        out[block] = dict(attributions=attributions.detach().cpu().numpy().astype(np.float32), delta=delta.detach().cpu().numpy())
    return out


def band_importance(attributions: np.ndarray) -> dict:
    """Attributions (N, C, H, W) averaged over the picture, per band.

    Returns:
        dict: ``signed`` (N, C), the mean, as in Algorithm 2, in which opposite signs cancel, and ``magnitude`` (N, C), the mean of
        absolute values.
    """
    attributions = np.asarray(attributions)
    return dict(signed=attributions.mean(axis=(2, 3)), magnitude=np.abs(attributions).mean(axis=(2, 3)))
