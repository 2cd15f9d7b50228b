"""MiT-B0..B5, SegFormer's encoder, in stages.

The modules and key names are mmseg's ``MixVisionTransformer``; weights move between the two without renaming. What differs: attention runs
through ``scaled_dot_product_attention``, the MLP keeps tokens as tokens, and the layer norms have the eps of the published code.
"""
from collections.abc import Sequence

import torch
from mmengine.model import trunc_normal_init
from mmengine.registry import MODELS
from mmseg.models.backbones import MixVisionTransformer
from mmseg.models.backbones.mit import EfficientMultiheadAttention, MixFFN, TransformerEncoderLayer
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError

from .stream import Stepper, register_stepper

#: Width of the first stage and blocks per stage (SegFormer, arXiv 2105.15203, Table 6).
ARCHS = dict(
    b0=(32, (2, 2, 2, 2)), b1=(64, (2, 2, 2, 2)), b2=(64, (3, 4, 6, 3)), b3=(64, (3, 4, 18, 3)), b4=(64, (3, 8, 27, 3)),
    b5=(64, (3, 6, 40, 3)))


def to_map(tokens: Tensor, size: tuple) -> Tensor:
    """Tokens ``(N, H*W, C)`` as a map ``(N, C, H, W)`` that shares their memory (channels last)."""
    return tokens.transpose(1, 2).unflatten(2, size)


def to_tokens(x: Tensor) -> Tensor:
    """Map ``(N, C, H, W)`` as tokens ``(N, H*W, C)``."""
    return x.flatten(2).transpose(1, 2)


class MiTAttention(EfficientMultiheadAttention):
    """mmseg's attention with reduced keys and values; the attention matrix is never stored."""

    def forward(self, x: Tensor, hw_shape: tuple, identity: Tensor | None = None) -> Tensor:
        """``identity + attention(x)`` of tokens ``(N, L, C)``."""
        attn = self.attn
        reduced = x
        if self.sr_ratio > 1:
            reduced = self.norm(to_tokens(self.sr(to_map(x, hw_shape))))
        c = self.embed_dims
        bias_q, bias_kv = (None, None) if attn.in_proj_bias is None else attn.in_proj_bias.split([c, 2 * c])
        weight_q, weight_kv = attn.in_proj_weight.split([c, 2 * c])
        query = F.linear(x, weight_q, bias_q).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        key, value = F.linear(reduced, weight_kv, bias_kv).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=attn.dropout if self.training else 0.)
        out = attn.out_proj(out.transpose(1, 2).flatten(2))
        return (x if identity is None else identity) + self.dropout_layer(self.proj_drop(out))


class MiTMLP(MixFFN):
    """mmseg's MLP with a depthwise convolution; its 1x1 convolutions act on tokens as linear layers."""

    def forward(self, x: Tensor, hw_shape: tuple, identity: Tensor | None = None) -> Tensor:
        """``identity + mlp(x)`` of tokens ``(N, L, C)``."""
        fc1, depthwise, activate, drop, fc2, _ = self.layers
        out = F.linear(x, fc1.weight.flatten(1), fc1.bias)
        out = to_tokens(activate(depthwise(to_map(out, hw_shape))))
        out = drop(F.linear(drop(out), fc2.weight.flatten(1), fc2.bias))
        return (x if identity is None else identity) + self.dropout_layer(out)


@MODELS.register_module()
class MiT(MixVisionTransformer):
    """MiT-B0..B5.

    Args:
        arch (str): ``'b0'`` .. ``'b5'``. Defaults to ``'b2'``.
        in_channels (int): Defaults to 3.
        drop_path_rate (float): Stochastic depth of the last block; it grows linearly from 0 at the first. Defaults to 0.1.
        stage_drop_path (dict[int, float], optional): A constant rate for all blocks of a stage instead. The published CMX has one in its
            second stage (index 1) by mistake; see its configs. Defaults to None.
        **kwargs: As mmseg's ``MixVisionTransformer`` (``drop_rate``, ``attn_drop_rate``, ``with_cp``, ``init_cfg``, and the sizes, which
            ``arch`` sets, for other networks).

    Raises:
        ConfigError: If there is no such ``arch``.
    """

    #: eps of the norms after patch embedding and key reduction; the others have 1e-6.
    eps_inner = 1e-5

    def __init__(self,
                 arch: str = 'b2',
                 in_channels: int = 3,
                 drop_path_rate: float = .1,
                 stage_drop_path: dict | None = None,
                 num_heads: Sequence[int] = (1, 2, 5, 8),
                 **kwargs):
        if arch not in ARCHS:
            raise ConfigError(f'MiT has no arch {arch!r}; choose from {list(ARCHS)}.')
        width, depths = ARCHS[arch]
        width, depths = kwargs.pop('embed_dims', width), kwargs.pop('num_layers', depths)
        # The parent builds everything but the blocks.
        super().__init__(in_channels=in_channels, embed_dims=width, num_layers=(0, ) * len(depths), num_heads=num_heads,
                         drop_path_rate=drop_path_rate, **kwargs)
        self.num_layers = depths
        rates = torch.linspace(0, drop_path_rate, sum(depths)).split(list(depths))
        block = {key: kwargs[key] for key in ('drop_rate', 'attn_drop_rate', 'qkv_bias', 'act_cfg', 'with_cp') if key in kwargs}
        for i, (patch_embed, blocks, _) in enumerate(self.layers):
            c = width * num_heads[i]
            patch_embed.norm.eps = self.eps_inner
            constant = {int(stage): rate for stage, rate in (stage_drop_path or {}).items()}.get(i)
            for rate in rates[i].tolist():
                blocks.append(_block(c, num_heads[i], kwargs.get('mlp_ratio', 4), rate if constant is None else constant,
                                     self.sr_ratios[i], kwargs.get('norm_cfg', dict(type='LN', eps=1e-6)), self.eps_inner, **block))

    def init_weights(self) -> None:
        """As SegFormer: mmseg's rules, and the joint projections, which mmseg leaves at PyTorch's, as linear layers too."""
        super().init_weights()
        if self.init_cfg is None:
            for module in self.modules():
                if isinstance(module, nn.MultiheadAttention):
                    nn.init.trunc_normal_(module.in_proj_weight, std=.02)
                    if module.in_proj_bias is not None:
                        nn.init.zeros_(module.in_proj_bias)
                    trunc_normal_init(module.out_proj, std=.02, bias=0.)

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """One stage: the map before it ``(N, C_{i-1}, H, W)`` to its map ``(N, C_i, H_i, W_i)``."""
        patch_embed, blocks, norm = self.layers[index]
        x, size = patch_embed(x)
        for block in blocks:
            x = block(x, size)
        return to_map(norm(x), size)

    def forward(self, x: Tensor) -> list:
        """Maps of the stages in ``out_indices``."""
        outs = []
        for index in range(self.num_stages):
            x = self.run_stage(index, x)
            if index in self.out_indices:
                outs.append(x)
        return outs


def _block(c, heads, mlp_ratio, drop_path, sr_ratio, norm_cfg, eps_inner, act_cfg=None, qkv_bias=True, drop_rate=0., attn_drop_rate=0.,
           with_cp=False) -> TransformerEncoderLayer:
    """mmseg's block with our attention and MLP in the same places."""
    act_cfg = act_cfg or dict(type='GELU')
    path = dict(type='DropPath', drop_prob=drop_path)
    block = TransformerEncoderLayer(c, heads, mlp_ratio * c, drop_rate, attn_drop_rate, drop_path, qkv_bias, act_cfg, norm_cfg, True,
                                    sr_ratio, with_cp)
    block.attn = MiTAttention(c, heads, attn_drop_rate, drop_rate, path, None, True, qkv_bias, norm_cfg, sr_ratio)
    block.ffn = MiTMLP(c, mlp_ratio * c, act_cfg, drop_rate, path)
    if sr_ratio > 1:
        block.attn.norm.eps = eps_inner
    return block


@register_stepper(MiT)
class MiTStepper(Stepper):
    """A MiT has no stem; each stage starts with its patch embedding."""

    @property
    def stage_channels(self) -> tuple:
        """64, 128, 320, 512 (B0: 32, 64, 160, 256)."""
        return tuple(self.backbone.embed_dims * heads for heads in self.backbone.num_heads)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage."""
        return self.backbone.run_stage(index, x)

    def check_input(self, x: Tensor) -> None:
        """At least 29 pixels per side: the first attention reduces the quarter-size map by 8."""
        least = (self.backbone.sr_ratios[0] - 1) * self.backbone.strides[0] + 1
        if min(x.shape[2:]) < least:
            raise ConfigError(f'MiT takes images of at least {least}x{least} pixels, got {x.shape[2]}x{x.shape[3]}. Use larger crops.')
