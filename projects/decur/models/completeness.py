"""Completeness: a modality's own unique and another one's common dimensions are to tell what its image looks like from afar.

Alignment and decorrelation do not ask for anything that they do not need: a factor that only one modality sees may be dropped (Thoreau et
al., arXiv 2509.17943, prove when). Here a small decoder predicts the coarse image of a view. What the modalities share is given to it from
the *other* modality, so what is left to the unique dimensions is the rest (the idea of IndiSeek, arXiv 2509.21584, and of CROMA's
reconstruction, arXiv 2311.00566).
"""
from collections.abc import Mapping, Sequence
from itertools import permutations

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import ModuleDict
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError

from .auxiliary import AuxiliaryHead, View


@MODELS.register_module()
class CompletenessHead(AuxiliaryHead):
    """Predict the coarse first view of every modality from its unique dimensions and the common ones of another modality.

    ``completeness_<a>_<b>`` is the mean squared error of the coarse image of a, with the common dimensions of b, in units of the modality's
    standard deviation. The coarse image is the normalised view, averaged over ``grid`` x ``grid`` tiles. Samples that lack either modality
    do not count.

    Args:
        weight (float): Of the sum over all ordered pairs. Defaults to 10.
        grid (int): Tiles along each side. Defaults to 4.
        hidden (int): Width of the decoder's one hidden layer. Defaults to 256.
        backbone (MultimodalBackbone), neck (MultimodalProjector): Filled in by the model.

    Raises:
        ConfigError: If an option is not valid or, in training, the objective has no ``common_dim`` or no unique dimensions.
    """

    def __init__(self, weight: float = 10., grid: int = 4, hidden: int = 256, *, backbone: nn.Module, neck: nn.Module, **kwargs):
        super().__init__(weight, **kwargs)
        for name, value in (('grid', grid), ('hidden', hidden)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f'{name} of CompletenessHead must be a whole number of at least 1, got {value!r}.')
        self.grid = grid
        channels = {name: entry['channels'] for name, entry in backbone.modalities.items()}
        # Layer norms and no batch norms: a sample's prediction depends on no other sample, on no process and in no batch size.
        self.decoders = ModuleDict({
            name: nn.Sequential(nn.LayerNorm(neck.out_channels, elementwise_affine=False), nn.Linear(neck.out_channels, hidden), nn.GELU(),
                                nn.LayerNorm(hidden), nn.Linear(hidden, count * grid**2)) for name, count in channels.items()})

    def coarse(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to tile means ``(N, C grid^2)``."""
        return F.adaptive_avg_pool2d(images, self.grid).flatten(1)

    def loss(self, views: Sequence[View], objective: nn.Module, present: Mapping | None, data_samples: Sequence | None) -> dict:
        """See :class:`AuxiliaryHead`."""
        view, terms = views[0], {}
        common, width = getattr(objective, 'common_dim', None), next(iter(view.embeddings.values())).shape[1]
        if common is None or not 0 <= common < width:
            raise ConfigError(f'CompletenessHead needs unique dimensions: {type(objective).__name__} has common_dim={common} of {width}.')
        with torch.autocast(next(iter(view.images.values())).device.type, enabled=False):
            for a, b in permutations(view.embeddings, 2):
                kept = slice(None) if present is None else present[a] & present[b]
                own, other = (view.embeddings[m][kept] for m in (a, b))
                given = torch.cat([other[:, :common], own[:, common:]], dim=1).to(next(self.parameters()).dtype)
                error = (self.decoders[a](given) - self.coarse(view.images[a][kept]).to(given.dtype)).square().mean(dim=1)
                terms[f'completeness_{a}_{b}'] = mean_over_processes(error)
        return terms


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of ``(n,)`` values of this process and all others; 0 without any.

    The gradient is that of this process's values, so that the average of DistributedDataParallel leaves the gradient of one process on all.
    """
    total = torch.stack([values.detach().sum(), values.new_tensor(len(values))])
    all_reduce(total)
    own = values.sum() * (get_world_size() / total[1].clamp(min=1))
    return own - own.detach() + total[0] / total[1].clamp(min=1)
