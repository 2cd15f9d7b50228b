"""Change between two dates: what differs between the maps of two streams."""
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from decur.errors import ConfigError
from decur.modalities import check_names


@MODELS.register_module()
class DifferenceFusion(BaseModule):
    """The absolute differences of pairs of streams, ``|after - before|``, concatenated over the pairs (FC-Siam-diff, arXiv 1810.08462).

    Args:
        channels (dict[str, tuple[int]]): Channels of every stage by modality; filled in by the backbone.
        pairs (Sequence[tuple[str, str]]): Names of the modalities before and after.

    Raises:
        ConfigError: If a name is no modality, a modality is in no pair, or two of a pair have maps of different channels.
    """

    def __init__(self, channels: Mapping, pairs: Sequence):
        super().__init__()
        self.pairs = tuple(tuple(pair) for pair in pairs)
        if not self.pairs or any(len(pair) != 2 for pair in self.pairs):
            raise ConfigError(f"DifferenceFusion takes pairs=(('before', 'after'), ...), got {pairs!r}.")
        names = [name for pair in self.pairs for name in pair]
        check_names(names, channels)
        if left := [name for name in channels if name not in names]:
            raise ConfigError(f'DifferenceFusion: the modality {left[0]!r} is in no pair {list(self.pairs)}.')
        for before, after in self.pairs:
            if channels[before] != channels[after]:
                raise ConfigError(f'DifferenceFusion: {before!r} and {after!r} have maps of {channels[before]} and {channels[after]} '
                                  'channels. Give them one encoder, shared in the backbone: shared=dict(after=before).')
        self.out_channels = tuple(sum(stage) for stage in zip(*(channels[before] for before, _ in self.pairs)))

    def forward(self, stage: int, maps: Mapping) -> Tensor:
        """``{name: (N, C_i, H, W)}`` to ``(N, sum of C_i over the pairs, H, W)``."""
        return torch.cat([(maps[after] - maps[before]).abs() for before, after in self.pairs], dim=1)
