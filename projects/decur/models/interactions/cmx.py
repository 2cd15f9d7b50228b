"""The modules of CMX: feature rectification between two streams, and fusion of their maps.

Zhang et al., "CMX: Cross-Modal Fusion for RGB-X Semantic Segmentation with Transformers", arXiv 2203.04838, sections III-B and III-C.
The order of the two modalities in the config is the paper's (RGB, X). Numbers agree with the published code for the same weights; the
sums are arranged so that fewer and smaller intermediate tensors are made (each place says how).
"""
import math
from collections.abc import Mapping

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, trunc_normal_init
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError


def init_as_segformer(module: nn.Module) -> None:
    """Initialise as SegFormer and CMX do: linear layers truncated normal 0.02, convolutions N(0, 2 / fan_out), biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            trunc_normal_init(part, std=.02, bias=0.)
        elif isinstance(part, nn.Conv2d):
            fan_out = part.kernel_size[0] * part.kernel_size[1] * part.out_channels // part.groups
            nn.init.normal_(part.weight, 0., math.sqrt(2. / fan_out))
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _two(channels: Mapping, what: str) -> tuple:
    """The names of the two modalities, which must have the same channels."""
    if len(channels) != 2 or len(set(channels.values())) != 1:
        raise ConfigError(f'{what} takes two modalities with the same channels, got {dict(channels)}. Give both the same encoder.')
    return tuple(channels)


@MODELS.register_module()
class CMXRectification(BaseModule):
    """Feature rectification module (FRM): each stream is corrected by the other, weighted per channel and per pixel.

    With gates w in (0, 1) computed from both maps: ``a' = a + (lambda_c w_c[b] + lambda_s w_s[b]) b`` and the same with a and b
    exchanged, both from the maps before rectification.

    Args:
        channels (dict[str, int]): C of each of the two modalities; filled in by the backbone.
        lambda_c (float): Weight of the channel gates. Defaults to 0.5.
        lambda_s (float): Weight of the spatial gates. Defaults to 0.5.

    Raises:
        ConfigError: If there are not two modalities with the same channels.
    """

    def __init__(self, channels: Mapping, lambda_c: float = .5, lambda_s: float = .5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.names = _two(channels, 'CMXRectification')
        c = channels[self.names[0]]
        self.lambda_c = lambda_c
        self.lambda_s = lambda_s
        self.channel = nn.Sequential(nn.Linear(4 * c, 4 * c), nn.ReLU(inplace=True), nn.Linear(4 * c, 2 * c), nn.Sigmoid())
        self.spatial = nn.Sequential(nn.Conv2d(2 * c, c, 1), nn.ReLU(inplace=True), nn.Conv2d(c, 2, 1), nn.Sigmoid())

    def init_weights(self) -> None:
        """As the published CMX."""
        init_as_segformer(self)

    def forward(self, maps: Mapping) -> dict:
        """Rectify ``{name: (N, C, H, W)}``; returns the same keys, order and shapes."""
        a, b = (maps[name] for name in self.names)
        # Pooled before they are concatenated: only the spatial gates need the concatenated map.
        pooled = torch.cat([a.mean((2, 3)), b.mean((2, 3)), a.amax((2, 3)), b.amax((2, 3))], dim=1)
        channel_a, channel_b = (self.lambda_c * self.channel(pooled)).unflatten(1, (2, -1))[..., None, None].unbind(1)  # (N, C, 1, 1)
        spatial_a, spatial_b = (self.lambda_s * self.spatial(torch.cat([a, b], dim=1))).split(1, dim=1)  # (N, 1, H, W)
        # Both gates multiply the same map, so their sum does it once. A gate's index is the modality that it lets through.
        rectified = torch.addcmul(a, channel_b + spatial_b, b), torch.addcmul(b, channel_a + spatial_a, a)
        out = dict(maps)
        out.update(zip(self.names, rectified))
        return out


class _Fusion(BaseModule):
    """The fusion module (FFM) of one stage: exchange of context by linear cross-attention, then a convolutional merge.

    Args:
        channels (int): C.
        num_heads (int): Heads of the cross-attention; divides C.
        norm_cfg (dict): Norm of the merge.
    """

    def __init__(self, channels: int, num_heads: int, norm_cfg: dict):
        super().__init__()
        c = channels
        if c % num_heads:
            raise ConfigError(f'CMXFusion: {c} channels cannot be split into {num_heads} heads.')
        self.channels = c
        self.num_heads = num_heads
        # One layer of each kind per modality, in the order (RGB, X).
        self.proj = nn.ModuleList(nn.Linear(c, 2 * c) for _ in range(2))  # residual part y and interactive part u
        self.kv = nn.ModuleList(nn.Linear(c, 2 * c, bias=False) for _ in range(2))
        self.end = nn.ModuleList(nn.Linear(2 * c, c) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(c) for _ in range(2))
        self.residual = nn.Conv2d(2 * c, c, 1, bias=False)
        self.embed = nn.Sequential(
            nn.Conv2d(2 * c, c, 1), nn.Conv2d(c, c, 3, padding=1, groups=c), nn.ReLU(inplace=True), nn.Conv2d(c, c, 1),
            build_norm_layer(norm_cfg, c)[1])
        self.merge_norm = build_norm_layer(norm_cfg, c)[1]

    def _context(self, kv: nn.Linear, u: Tensor) -> Tensor:
        """Context (N, heads, C/heads, C/heads) of tokens (N, L, C): ``softmax(k^T v / sqrt(C/heads))`` over the rows."""
        k, v = kv(u).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scale = (self.channels // self.num_heads) ** -.5
        # A sum over all tokens: in half precision it would overflow, in bfloat16 it would lose what the softmax reads.
        with torch.autocast(u.device.type, enabled=False):
            wide = torch.promote_types(k.dtype, torch.float32)
            return ((k.to(wide).transpose(-2, -1) @ v.to(wide)) * scale).softmax(dim=-2)

    def _end(self, end: nn.Linear, hidden: Tensor, context: Tensor) -> Tensor:
        """``end(cat(y, u context))`` of hidden = cat(y, u), the context being block-diagonal over the heads.

        The context is small, so it is multiplied into the layer's weight instead of the tokens: neither ``u context`` nor the concatenation
        is made.
        """
        weight_y, weight_u = end.weight.t().split(self.channels)  # (C, C) each, input first
        folded = context @ weight_u.unflatten(0, (self.num_heads, -1))  # (N, heads, C/heads, C)
        weight = torch.cat([weight_y.expand(len(hidden), -1, -1), folded.flatten(1, 2)], dim=1)  # (N, 2C, C)
        return torch.baddbmm(end.bias.expand(len(hidden), 1, -1), hidden, weight)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Fuse two maps ``(N, C, H, W)`` to one of the same shape."""
        height = a.shape[2]
        tokens = [x.flatten(2).transpose(1, 2) for x in (a, b)]  # (N, HW, C)
        hidden = [F.relu(proj(x)) for proj, x in zip(self.proj, tokens)]  # (N, HW, 2C) = cat(y, u)
        context = [self._context(kv, h[..., self.channels:]) for kv, h in zip(self.kv, hidden)]
        # Queries of one modality, context of the other; there is no query projection.
        out = [norm(x + self._end(end, h, ctx))
               for norm, x, end, h, ctx in zip(self.norm, tokens, self.end, hidden, reversed(context))]
        merged = torch.cat(out, dim=2).transpose(1, 2).unflatten(2, (height, -1))  # (N, 2C, H, W)
        return self.merge_norm(self.residual(merged) + self.embed(merged))


@MODELS.register_module()
class CMXFusion(BaseModule):
    """Feature fusion modules (FFM) of all stages. The fused maps go to the decoder only.

    Args:
        channels (dict[str, tuple[int]]): Channels of every stage of the two modalities; filled in by the backbone.
        num_heads (Sequence[int]): Heads at each stage. Defaults to (1, 2, 5, 8), those of the MiT encoders.
        norm_cfg (dict): Norm of the merge. Defaults to ``BN``; several processes convert it by the runner's ``sync_bn``.

    Raises:
        ConfigError: If there are not two modalities with the same channels, or the heads do not divide them.
    """

    def __init__(self,
                 channels: Mapping,
                 num_heads: tuple = (1, 2, 5, 8),
                 norm_cfg: dict | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.names = _two({name: tuple(c) for name, c in channels.items()}, 'CMXFusion')
        sizes = channels[self.names[0]]
        if len(num_heads) != len(sizes):
            raise ConfigError(f'CMXFusion: {len(num_heads)} numbers of heads for {len(sizes)} stages.')
        norm_cfg = norm_cfg or dict(type='BN')
        self.stages = nn.ModuleList(_Fusion(c, heads, norm_cfg) for c, heads in zip(sizes, num_heads))
        self.out_channels = tuple(sizes)

    def init_weights(self) -> None:
        """As the published CMX."""
        init_as_segformer(self)

    def forward(self, stage: int, maps: Mapping) -> Tensor:
        """Fuse the maps ``{name: (N, C_i, H, W)}`` of a stage to ``(N, C_i, H, W)``."""
        return self.stages[stage](*(maps[name] for name in self.names))
