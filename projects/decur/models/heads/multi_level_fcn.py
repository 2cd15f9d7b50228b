"""The FCN of the supplement's RGB-DEM transfer (B.2): one 1x1 convolution per stage map, the score maps upsampled and summed."""
from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class MultiLevelFCNHead(BaseDecodeHead):
    """Score maps from several stages, added.

    B.2 concatenates the modalities' maps (:class:`ConcatFusion` does), upsamples them to the input size and applies a 1x1 convolution to
    each. A 1x1 convolution and bilinear interpolation commute, so the convolution comes first here: the same numbers for a fraction of
    the memory. Score maps are summed at the size of the largest; mmseg upsamples the sum to the image.

    Args:
        in_channels (Sequence[int]): Channels of the maps; :class:`~decur.models.MultimodalSegmentor` fills them in.
        in_index (Sequence[int]): Which of the backbone's outputs they are. Defaults to the last three of four.
        **kwargs: As mmseg's ``BaseDecodeHead`` (``num_classes``, ``dropout_ratio``, ``loss_decode``, ...).
    """

    def __init__(self, in_channels: Sequence[int], in_index: Sequence[int] = (1, 2, 3), **kwargs):
        kwargs.setdefault('channels', 1)  # unused: there is no hidden layer
        super().__init__(in_channels=list(in_channels), in_index=list(in_index), input_transform='multiple_select', **kwargs)
        del self.conv_seg
        self.score = nn.ModuleList(nn.Conv2d(channels, self.out_channels, 1) for channels in self.in_channels)

    def init_weights(self) -> None:
        """Small normal weights, zero bias, as mmseg's heads."""
        for layer in self.score:
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: tuple) -> Tensor:
        """Stage maps to logits ``(N, num_classes, H_0, W_0)`` at the size of the first selected map."""
        maps = self._transform_inputs(inputs)
        size = maps[0].shape[2:]
        logits = None
        for layer, x in zip(self.score, maps):
            if self.dropout is not None:
                x = self.dropout(x)
            score = layer(x)
            score = score if score.shape[2:] == size else F.interpolate(score, size, mode='bilinear', align_corners=self.align_corners)
            logits = score if logits is None else torch.add(logits, score)
        return logits
