"""SegFormer's Mix Transformer encoders (MiT-B0 to B5) and how they are cut into stages.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", arXiv 2105.15203. The parameters are those
of mmseg's ``MixVisionTransformer``, under the same names; what differs is how the same function is computed:

* attention by ``scaled_dot_product_attention``, so the matrix of (tokens x reduced tokens) is never stored;
* tokens ``(N, H W, C)`` and a channels-last map are the same memory, so convolutions take and give tokens without a copy, and the linear
  layers of MixFFN stay 1x1 convolutions: oneDNN computes them alike on every CPU, MKL's matrix products take twice as long on AMD;
* the epsilons of the layer norms are those of the published weights: 1e-6 in the norms of blocks and stages, 1e-5 in the norms after a
  patch embedding and after a spatial reduction (mmseg has 1e-6 everywhere).
"""
import math

import torch
from mmcv.cnn.bricks.drop import build_dropout
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmseg.models.backbones import MixVisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from decur.errors import ConfigError, check_choice

from .stream import Stepper, register_stepper

#: ``(embed_dims, num_layers)`` of arXiv 2105.15203, Table 6; the width of stage i is ``embed_dims * (1, 2, 5, 8)[i]``.
ARCHITECTURES = {
    'b0': (32, (2, 2, 2, 2)),
    'b1': (64, (2, 2, 2, 2)),
    'b2': (64, (3, 4, 6, 3)),
    'b3': (64, (3, 4, 18, 3)),
    'b4': (64, (3, 8, 27, 3)),
    'b5': (64, (3, 6, 40, 3)),
}


def _as_map(x: Tensor, size: tuple) -> Tensor:
    """Tokens ``(N, H W, C)`` seen as a channels-last map ``(N, C, H, W)``; no copy."""
    return x.unflatten(1, size).permute(0, 3, 1, 2)


def _as_tokens(x: Tensor) -> Tensor:
    """A map ``(N, C, H, W)`` as tokens ``(N, H W, C)``; no copy if it is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


@torch.compiler.assume_constant_result
def _num_threads() -> int:
    """Threads of one operation on a CPU; a constant in a compiled graph."""
    return torch.get_num_threads()


def _attend(q: Tensor, k: Tensor, v: Tensor, num_heads: int, dropout: float) -> Tensor:
    """Multi-head attention of queries ``(N, L, C)`` to keys and values ``(N, l, C)``: ``(N, L, C)``."""
    n, length, _ = q.shape
    if q.requires_grad and q.device.type == 'cpu' and n * num_heads % _num_threads():
        # PyTorch's backward pass uses one thread per sample and head. Queries are independent, so they can be split over the batch.
        parts = math.gcd(length, _num_threads())
        q = q.reshape(n * parts, length // parts, -1)
        k, v = (t.repeat_interleave(parts, 0) for t in (k, v))
    q, k, v = (t.unflatten(2, (num_heads, -1)).transpose(1, 2) for t in (q, k, v))  # (N, heads, L, C/heads)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).reshape(n, length, -1)


class _Attention(BaseModule):
    """mmseg's ``EfficientMultiheadAttention`` with the same parameters, computed by ``scaled_dot_product_attention``.

    Args:
        source (EfficientMultiheadAttention): Its submodules are taken over.
    """

    def __init__(self, source: nn.Module):
        super().__init__()
        self.attn = source.attn  # nn.MultiheadAttention: holds the projections, its forward is not used
        self.proj_drop = source.proj_drop
        self.dropout_layer = source.dropout_layer
        self.sr_ratio = source.sr_ratio
        if self.sr_ratio > 1:
            self.sr = source.sr
            self.norm = source.norm

    def forward(self, x: Tensor, size: tuple) -> Tensor:
        """Attention output ``(N, L, C)``, without the shortcut, of normalised tokens ``(N, L, C)`` of a map of ``size`` (H, W)."""
        attn = self.attn
        reduced = x
        if self.sr_ratio > 1:
            if min(size) < self.sr_ratio:
                raise ConfigError(f'a map of {size[0]}x{size[1]} is smaller than its spatial reduction of {self.sr_ratio}: '
                                  'give MiT larger images.')
            reduced = self.norm(_as_tokens(self.sr(_as_map(x, size))))
        sizes = (attn.embed_dim, 2 * attn.embed_dim)
        weights = attn.in_proj_weight.split(sizes)
        biases = (None, None) if attn.in_proj_bias is None else attn.in_proj_bias.split(sizes)
        q = F.linear(x, weights[0], biases[0])
        k, v = F.linear(reduced, weights[1], biases[1]).chunk(2, dim=2)
        out = _attend(q, k, v, attn.num_heads, attn.dropout if self.training else 0.)
        return self.dropout_layer(self.proj_drop(attn.out_proj(out)))


class _Block(BaseModule):
    """mmseg's ``TransformerEncoderLayer`` of SegFormer with the same parameters.

    Args:
        source (TransformerEncoderLayer): Its submodules are taken over.
    """

    def __init__(self, source: nn.Module):
        super().__init__()
        self.norm1 = source.norm1
        self.attn = _Attention(source.attn)
        self.norm2 = source.norm2
        self.ffn = source.ffn  # its parameters; computed by _mix_ffn
        self.with_cp = source.with_cp

    def _mix_ffn(self, x: Tensor, size: tuple) -> Tensor:
        """MixFFN, without the shortcut, on the channels-last map that the tokens are."""
        fc1, depthwise, activation, drop, fc2, _ = self.ffn.layers
        x = drop(activation(depthwise(fc1(_as_map(x, size)))))
        return self.ffn.dropout_layer(_as_tokens(drop(fc2(x))))

    def _forward(self, x: Tensor, size: tuple) -> Tensor:
        # In-place addition saves memory, but with gradients it would change a view of a layer's output, which autograd then copies.
        add = torch.Tensor.add if torch.is_grad_enabled() else torch.Tensor.add_
        x = add(self.attn(self.norm1(x), size), x)
        return add(self._mix_ffn(self.norm2(x), size), x)

    def forward(self, x: Tensor, hw_shape: tuple) -> Tensor:
        """Tokens ``(N, L, C)`` of a map of ``hw_shape`` to the same shape."""
        if self.with_cp and x.requires_grad:
            return checkpoint(self._forward, x, hw_shape, use_reentrant=False)
        return self._forward(x, hw_shape)


@MODELS.register_module()
class DecurMixVisionTransformer(MixVisionTransformer):
    """MiT-B0 to B5 as mmseg has them (same parameter names), with the published epsilons and memory-saving attention.

    Args:
        arch (str): ``'b0'`` to ``'b5'``. Defaults to ``'b2'``.
        drop_path_rate (float): Stochastic depth, rising linearly over the blocks. Defaults to 0.1.
        stage_drop_path (dict[int, float], optional): One rate for all blocks of a stage (from 0) instead. The published CMX has it in its
            second stage by mistake; its configs ending in ``_published`` set it. Defaults to None.
        **kwargs: As mmseg's ``MixVisionTransformer``; they override what ``arch`` says (``embed_dims``, ``num_layers``, ...).

    Raises:
        ConfigError: If ``arch`` is unknown.
    """

    def __init__(self, arch: str = 'b2', drop_path_rate: float = 0.1, stage_drop_path: dict | None = None, **kwargs):
        check_choice('arch of a MiT', arch, ARCHITECTURES)
        embed_dims, num_layers = ARCHITECTURES[arch]
        super().__init__(**{**dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=(1, 2, 5, 8), sr_ratios=(8, 4, 2, 1)), **kwargs},
                         drop_path_rate=drop_path_rate)
        for patch_embed, blocks, _ in self.layers:
            patch_embed.norm.eps = 1e-5
            for i, block in enumerate(blocks):
                if block.attn.sr_ratio > 1:
                    block.attn.norm.eps = 1e-5
                blocks[i] = _Block(block)
        for stage, rate in (stage_drop_path or {}).items():
            for block in self.layers[int(stage)][1]:
                for part in (block.attn, block.ffn):
                    part.dropout_layer = build_dropout(dict(type='DropPath', drop_prob=rate))

    def init_weights(self) -> None:
        """As SegFormer; mmseg leaves the joint projection of queries, keys and values, a linear layer too, at PyTorch's initialisation."""
        super().init_weights()
        if self.init_cfg is None:
            for module in self.modules():
                if isinstance(module, nn.MultiheadAttention):
                    nn.init.trunc_normal_(module.in_proj_weight, std=.02)
                    if module.in_proj_bias is not None:
                        nn.init.zeros_(module.in_proj_bias)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run stage ``index``: a map ``(N, C_(i-1), H, W)`` (the image for stage 0) to ``(N, C_i, H', W')``."""
        patch_embed, blocks, norm = self.layers[index]
        x = patch_embed.projection(x)
        size = tuple(x.shape[2:])
        x = patch_embed.norm(_as_tokens(x))
        for block in blocks:
            x = block(x, size)
        return _as_map(norm(x), size)

    def forward(self, x: Tensor) -> tuple:
        """Stage maps ``(N, C_i, H_i, W_i)`` at ``out_indices`` of an image ``(N, C, H, W)``; strides 4, 8, 16, 32."""
        x = x.contiguous(memory_format=torch.channels_last)
        outs = []
        for index in range(self.num_stages):
            x = self.stage(index, x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)


@register_stepper(MixVisionTransformer)
class MixVisionTransformerStepper(Stepper):
    """Cuts a MiT at its stages: patch embedding, blocks, norm. Takes mmseg's own class too."""

    @property
    def stage_channels(self) -> tuple:
        """Widths of the stages: 64, 128, 320, 512 for B1 to B5."""
        return tuple(self.backbone.embed_dims * heads for heads in self.backbone.num_heads)

    def check_input(self, x: Tensor) -> None:
        """The map of every stage must be as large as the spatial reduction that acts on it."""
        net = self.backbone
        least, stride, reduction = 1, 1, 1
        for step, ratio in zip(net.strides, net.sr_ratios):
            # A stage of ceil(previous / step) rows.
            stride *= step
            least = max(least, (ratio - 1) * stride + 1)
            reduction = max(reduction, stride)
        if min(x.shape[2:]) < least:
            raise ConfigError(f'{type(net).__name__} takes heights and widths of at least {least} pixels, got '
                              f'{x.shape[2]}x{x.shape[3]}. Larger sizes need not be multiples of {reduction}.')

    def stem(self, x: Tensor) -> Tensor:
        """The image in channels-last memory, which the stages keep."""
        return x.contiguous(memory_format=torch.channels_last)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage."""
        if isinstance(self.backbone, DecurMixVisionTransformer):
            return self.backbone.stage(index, x)
        patch_embed, blocks, norm = self.backbone.layers[index]
        x, size = patch_embed(x)
        for block in blocks:
            x = block(x, size)
        return norm(x).transpose(1, 2).unflatten(2, tuple(size)).contiguous()
