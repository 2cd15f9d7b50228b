"""Fusion by concatenation: the maps of all modalities side by side (supplement B.2, RGB-DEM transfer)."""
from collections.abc import Mapping

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F


@MODELS.register_module()
class ConcatFusion(BaseModule):
    """Concatenate the modalities' maps of a stage along channels. The map of a single modality is passed through.

    Maps of another size than the first modality's are resized to it (bilinear), so the modalities need not share a resolution.

    Args:
        channels (dict[str, tuple[int]]): Channels of every stage by modality; filled in by the backbone.
    """

    def __init__(self, channels: Mapping):
        super().__init__()
        self.out_channels = tuple(sum(c) for c in zip(*channels.values()))

    def forward(self, stage: int, maps: Mapping) -> Tensor:
        """``{name: (N, C_i, H, W)}`` to ``(N, sum C_i, H, W)``."""
        parts = list(maps.values())
        size = parts[0].shape[2:]
        parts = [x if x.shape[2:] == size else F.interpolate(x, size, mode='bilinear', align_corners=False) for x in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
