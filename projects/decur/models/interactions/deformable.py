"""Deformable attention after a stage: DA, its residual form RDA, and Cross-DA between modalities.

Xia et al., "DAT++: Spatially Dynamic Vision Transformer with Deformable Attention", arXiv 2309.01430; sizes: supplement of DeCUR, section
B.1; the three designs: Table 2 there. Every pixel of a map attends to a grid of sampled points that the queries move. Parameter names are
those of the published weights.
"""
from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule, ModuleDict
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of a map ``(N, C, H, W)``."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


def _axis(size: int, shift: float, like: Tensor) -> Tensor:
    """``(shift, 1 + shift, ...)`` of ``size`` points in units in which the first pixel is -1 and the last 1; one point is the centre."""
    if size == 1:
        return like.new_zeros(1)
    return (torch.arange(size, dtype=like.dtype, device=like.device) + shift) / (size - 1) * 2 - 1


def _points(height: int, width: int, shift: float, like: Tensor) -> Tensor:
    """Points ``(height, width, 2)`` in (y, x)."""
    return torch.stack(torch.meshgrid(_axis(height, shift, like), _axis(width, shift, like), indexing='ij'), dim=-1)


class DeformableAttention(BaseModule):
    """Multi-head attention from every pixel to points whose places depend on the queries.

    With q = Wq x, offsets o = conv_offset(q) per group on a grid of stride s, and points p = clamp(reference + o, -1, 1):
    ``out = Wo softmax(q k^T / sqrt(d) + bias) v`` with k, v = Wk, Wv of the map sampled at p, and bias the relative-position table read at
    (query place - p) / 2. Reference points lie at ``(0.5 .. n - 0.5) / (n - 1) * 2 - 1`` and queries at ``(0 .. n - 1) / (n - 1) * 2 - 1``,
    as in the published code. Places are relative to the map, so the table is interpolated to maps of any size; a table of another
    ``map_size`` in a checkpoint is resized when it is loaded.

    Args:
        channels (int): C; filled in by the backbone.
        num_heads (int): Heads; C / num_heads channels each (supplement: 128).
        groups (int): Channel groups, each with points of its own; divides ``num_heads``.
        stride (int): Of the grid of points.
        kernel_size (int): Odd, of the depthwise convolution that gives the offsets.
        map_size (int | tuple[int]): (H, W) of the map in pretraining: the table is ``(num_heads, 2 H - 1, 2 W - 1)``.

    Raises:
        ConfigError: If heads or groups do not divide, or the kernel is even.
    """

    def __init__(self,
                 channels: int,
                 num_heads: int,
                 groups: int,
                 stride: int,
                 kernel_size: int,
                 map_size: int | tuple,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if channels % num_heads or num_heads % groups:
            raise ConfigError(f'deformable attention: {num_heads} heads must divide {channels} channels, and {groups} groups the heads.')
        if kernel_size % 2 == 0:
            raise ConfigError(f'deformable attention: kernel_size must be odd, got {kernel_size}.')
        height, width = (map_size, map_size) if isinstance(map_size, int) else map_size
        self.num_heads = num_heads
        self.groups = groups
        per_group = channels // groups
        self.conv_offset = nn.Sequential(
            nn.Conv2d(per_group, per_group, kernel_size, stride, kernel_size // 2, groups=per_group), ChannelLayerNorm(per_group),
            nn.GELU(), nn.Conv2d(per_group, 2, 1, bias=False))
        self.proj_q, self.proj_k, self.proj_v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))
        self.rpe_table = nn.Parameter(torch.zeros(num_heads, 2 * height - 1, 2 * width - 1))
        nn.init.trunc_normal_(self.rpe_table, std=.01)
        self.register_load_state_dict_pre_hook(self._resize_table)

    @staticmethod
    def _resize_table(module: nn.Module, state_dict: dict, prefix: str, *args) -> None:
        """Interpolate a table of another map size; both ends of it are the largest displacement."""
        key = f'{prefix}rpe_table'
        table = state_dict.get(key)
        size = module.rpe_table.shape[1:]
        if table is None or table.ndim != 3 or len(table) != module.num_heads or table.shape[1:] == size:
            return
        print_log(f'{key}: interpolated from {tuple(table.shape[1:])} to {tuple(size)}', logger='current')
        state_dict[key] = F.interpolate(table[None].float(), size, mode='bicubic', align_corners=True)[0].to(table.dtype)

    def init_weights(self) -> None:
        """Table: truncated normal 0.01; convolutions: PyTorch's default, as published."""
        super().init_weights()
        nn.init.trunc_normal_(self.rpe_table, std=.01)

    def forward(self, x: Tensor, sources: tuple | None = None) -> Tensor:
        """Attend from ``x`` to ``sources``.

        Args:
            x (Tensor): ``(N, C, H, W)``; gives the queries and, from them, the places of the points.
            sources (tuple[Tensor], optional): Maps ``(N, C, H', W')`` that keys and values are sampled from; all the points of all of them
                are attended to together. Defaults to ``(x, )``.

        Returns:
            Tensor: ``(N, C, H, W)``, without a shortcut.
        """
        sources = (x, ) if sources is None else sources
        height, width = x.shape[2:]
        q = self.proj_q(x)
        offsets = self.conv_offset(q.unflatten(1, (self.groups, -1)).flatten(0, 1))  # (N G, 2, h, w)
        # Places in at least single precision: bfloat16 cannot tell neighbouring pixels of a large map apart.
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))
        points = (offsets.movedim(1, -1) + _points(*offsets.shape[2:], 0.5, offsets)).clamp(-1, 1)  # (N G, h, w, 2), (y, x)
        k, v = zip(*(self._sample(source, points) for source in sources))
        bias = self._bias(points, height, width).to(q.dtype)
        out = F.scaled_dot_product_attention(
            self._heads(q), torch.cat(k, dim=2), torch.cat(v, dim=2), attn_mask=bias.repeat(1, 1, 1, len(sources)))
        return self.proj_out(out.transpose(2, 3).flatten(1, 2).unflatten(2, (height, width)))

    def _heads(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, heads, h w, C / heads)``."""
        return x.flatten(2).unflatten(1, (self.num_heads, -1)).transpose(2, 3)

    def _sample(self, source: Tensor, points: Tensor) -> tuple:
        """Keys and values ``(N, heads, h w, C / heads)`` of a map at ``points``."""
        grouped = source.unflatten(1, (self.groups, -1)).flatten(0, 1).to(points.dtype)
        sampled = F.grid_sample(grouped, points.flip(-1), mode='bilinear', align_corners=True)  # grid_sample wants (x, y)
        sampled = sampled.unflatten(0, (-1, self.groups)).flatten(1, 2).to(source.dtype)
        return self._heads(self.proj_k(sampled)), self._heads(self.proj_v(sampled))

    def _bias(self, points: Tensor, height: int, width: int) -> Tensor:
        """The table read at half the displacements: ``(N, heads, H W, h w)``."""
        queries = _points(height, width, 0., points).flatten(0, 1)  # (H W, 2)
        displacement = (queries[:, None] - points.flatten(1, 2)[:, None]) / 2  # (N G, H W, h w, 2), within [-1, 1]
        table = self.rpe_table.to(points.dtype).unflatten(0, (self.groups, -1))  # (G, heads / G, .., ..)
        table = table.repeat(len(points) // self.groups, 1, 1, 1)
        bias = F.grid_sample(table, displacement.flip(-1), mode='bilinear', align_corners=True)
        return bias.unflatten(0, (-1, self.groups)).flatten(1, 2)


@MODELS.register_module()
class DA(DeformableAttention):
    """Deformable attention in a stream, without a shortcut: ``DA(x)`` (Table 2). Arguments: :class:`DeformableAttention`."""


@MODELS.register_module()
class RDA(DeformableAttention):
    """Residual deformable attention in a stream: ``x + DA(x)``, the design of the method (B.1). Arguments: :class:`DeformableAttention`."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        return x + super().forward(x)


@MODELS.register_module()
class CrossDA(BaseModule):
    """Deformable attention across modalities: queries of one, keys and values of the other (Table 2).

    Each modality has an attention of its own. With more than two modalities its queries attend to the points of all the others together.

    Args:
        channels (dict[str, int]): C of each modality; filled in by the backbone. All must be equal.
        residual (bool): Add the result to the modality's own map. Table 2's design has no shortcut. Defaults to False.
        **kwargs: As :class:`DeformableAttention`.

    Raises:
        ConfigError: If there are fewer than two modalities or their channels differ.
    """

    def __init__(self, channels: Mapping, residual: bool = False, init_cfg: dict | None = None, **kwargs):
        super().__init__(init_cfg)
        if len(channels) < 2 or len(set(channels.values())) > 1:
            raise ConfigError(f'CrossDA takes at least two modalities with the same channels, got {dict(channels)}. Give them the same '
                              'encoder.')
        self.residual = residual
        self.attention = ModuleDict({name: DeformableAttention(c, **kwargs) for name, c in channels.items()})

    def forward(self, maps: Mapping) -> dict:
        """``{name: (N, C, H, W)}`` to the same keys and shapes; every modality attends to the maps before the exchange."""
        out = {}
        for name, x in maps.items():
            attended = self.attention[name](x, tuple(other for key, other in maps.items() if key != name))
            out[name] = x + attended if self.residual else attended
        return out
