"""Stages of mmpretrain's Vision Transformers: patch embedding, then the layers in four equal parts."""
from typing import NamedTuple

import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor

from decur.errors import ConfigError

from .stream import Stepper, register_stepper


class Tokens(NamedTuple):
    """The state between the stages of a Vision Transformer."""

    #: Class token ``(N, 1, C)``; ``(N, 0, C)`` for a backbone without one.
    extra: Tensor
    #: Patch tokens as a map ``(N, C, H/P, W/P)`` for patches of P x P pixels.
    patches: Tensor


@register_stepper(VisionTransformer)
class VisionTransformerStepper(Stepper):
    """Cuts a ViT into four stages of equal depth (three layers each for the 12 layers of ViT-S/16 and ViT-B/16).

    All stage maps have the resolution of the patches. The class token is carried beside the map: attention and interactions change the
    patch tokens, and the class token attends to the changed ones in the next stage. The last stage ends with the final layer norm.
    """

    _NUM_STAGES = 4

    def __init__(self, backbone: VisionTransformer):
        super().__init__(backbone)
        if len(backbone.layers) % self._NUM_STAGES:
            raise ConfigError(f'a VisionTransformer of {len(backbone.layers)} layers cannot be cut into {self._NUM_STAGES} equal stages.')

    @property
    def stage_channels(self) -> tuple:
        """The embedding width, four times: 384 for ViT-S/16."""
        return (self.backbone.embed_dims, ) * self._NUM_STAGES

    def check_input(self, x: Tensor) -> None:
        """Heights and widths must be multiples of the patch size (the library would pad in silence)."""
        height, width = self.backbone.patch_embed.projection.kernel_size
        if x.shape[2] % height or x.shape[3] % width or 0 in x.shape[2:]:
            raise ConfigError(f'this VisionTransformer takes heights and widths that are multiples of {height} and {width}, '
                              f'got {x.shape[2]}x{x.shape[3]}. Resize or crop the images.')

    def stem(self, x: Tensor) -> Tokens:
        """Patches, class token and position embedding (interpolated for sizes other than the backbone's ``img_size``)."""
        net = self.backbone
        x, size = net.patch_embed(x)
        if net.cls_token is not None:
            x = torch.cat([net.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + resize_pos_embed(net.pos_embed, net.patch_resolution, size, mode=net.interpolate_mode,
                                 num_extra_tokens=net.num_extra_tokens)
        return self._split(net.pre_norm(net.drop_after_pos(x)), size)

    def stage(self, index: int, state: Tokens) -> Tokens:
        """Run a quarter of the layers."""
        net = self.backbone
        per_stage = len(net.layers) // self._NUM_STAGES
        x = torch.cat([state.extra, state.patches.flatten(2).transpose(1, 2)], dim=1)
        for layer in net.layers[index * per_stage:(index + 1) * per_stage]:
            x = layer(x)
        if index == self._NUM_STAGES - 1 and net.final_norm:
            x = net.ln1(x)
        return self._split(x, state.patches.shape[2:])

    def map(self, state: Tokens) -> Tensor:
        """The patch tokens as a map."""
        return state.patches

    def replace(self, state: Tokens, x: Tensor) -> Tokens:
        """The same class token with another map."""
        return state._replace(patches=x)

    def feature(self, state: Tokens) -> Tensor:
        """The class token; the mean over the patches for a backbone without one."""
        if state.extra.shape[1] == 0:
            return state.patches.mean(dim=(2, 3))
        return state.extra[:, 0]

    def _split(self, x: Tensor, size) -> Tokens:
        extra = self.backbone.num_extra_tokens
        return Tokens(x[:, :extra], x[:, extra:].transpose(1, 2).unflatten(2, tuple(size)))
