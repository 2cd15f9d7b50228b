"""The all-MLP decoder of CMX."""
import torch
from mmcv.cnn import ConvModule
from mmengine.registry import MODELS
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class CMXHead(BaseDecodeHead):
    """Every stage is mapped to ``channels``, resized to the first stage, concatenated (last stage first) and mixed by a 1x1 convolution.

    It differs from mmseg's ``SegformerHead``: the maps of the stages are plain linear layers (no norm, no ReLU), the order is reversed,
    and the mixing convolution has a bias (CMX, arXiv 2203.04838, section III-A, and its published code).

    A linear layer, a bilinear resize and a 1x1 convolution are all linear, and the resize acts on pixels while the others act on
    channels, so they commute. The part of the mixing convolution that belongs to a stage is therefore multiplied into that stage's
    linear layer, applied at the stage's own resolution, and the results are resized and added: the same numbers with a small part of
    the operations, and without the ``4 * channels`` maps at full resolution.

    Args:
        in_channels (Sequence[int]): C_i of the stages; :class:`~decur.models.MultimodalSegmentor` fills them in.
        channels (int): Width of the decoder. The published models have 512.
        in_index (Sequence[int], optional): Which of the backbone's outputs they are. Defaults to all.
        **kwargs: As mmseg's ``BaseDecodeHead``; ``num_classes`` is required.
    """

    def __init__(self, in_channels, channels, norm_cfg=None, in_index=None, **kwargs):
        kwargs.setdefault('init_cfg', None)  # init_weights below
        super().__init__(in_channels, channels, input_transform='multiple_select', in_index=in_index or tuple(range(len(in_channels))),
                         norm_cfg=norm_cfg or dict(type='BN'), **kwargs)
        self.embed = nn.ModuleList(nn.Linear(c, channels) for c in self.in_channels)
        self.fuse = ConvModule(len(in_channels) * channels, channels, 1, bias=True, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def init_weights(self) -> None:
        """As the published CMX: convolution weights Kaiming normal (fan_in), all else as PyTorch initialises it."""
        for conv in (self.fuse.conv, self.conv_seg):
            nn.init.kaiming_normal_(conv.weight, mode='fan_in', nonlinearity='relu')

    def mix(self, maps) -> Tensor:
        """Map, resize and mix the selected stages ``(N, C_i, H_i, W_i)`` to ``(N, channels, H_0, W_0)``, before norm and ReLU."""
        # Last stage first, as the published weights lie.
        parts = self.fuse.conv.weight.flatten(1).split(self.channels, dim=1)[::-1]
        size = maps[0].shape[2:]
        total = None
        for x, embed, part in zip(maps, self.embed, parts):
            with torch.autocast(x.device.type, enabled=False):  # the product of the weights keeps its precision
                weight = part @ embed.weight
                bias = part @ embed.bias
                if total is None:
                    bias = bias + self.fuse.conv.bias
            y = F.conv2d(x, weight[..., None, None], bias)
            total = y if total is None else total + resize(y, size=size, mode='bilinear', align_corners=self.align_corners)
        return total

    def forward(self, inputs) -> Tensor:
        """Logits ``(N, num_classes, H_0, W_0)`` of a tuple of maps."""
        x = self.mix(self._transform_inputs(inputs))
        return self.cls_seg(self.fuse.activate(self.fuse.norm(x)))
