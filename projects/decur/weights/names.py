"""Names of the same weights in different libraries, both ways.

An encoder here keeps the key names of the OpenMMLab backbone it is: mmpretrain ``ResNet`` (which are torchvision's), mmpretrain
``VisionTransformer`` and mmseg ``MixVisionTransformer``. Each function maps a whole state dict and is the exact inverse of its
partner. A key that has no counterpart keeps its name, so that a strict comparison afterwards names it.
"""
import re
from collections.abc import Mapping, Sequence

import torch

#: First convolution of mmpretrain's ResNet (with and without deep stem) and VisionTransformer, and of mmseg's MixVisionTransformer.
FIRST_LAYER = re.compile(r'(conv1|stem\.0|patch_embed\.projection|layers\.0\.0\.projection)\.weight')

# Theirs, ours; see rename.
_VIT = (
    ('patch_embed.proj.*', 'patch_embed.projection.*'),
    ('blocks.*.norm1.*', 'layers.*.ln1.*'),
    ('blocks.*.norm2.*', 'layers.*.ln2.*'),
    ('blocks.*.attn.*', 'layers.*.attn.*'),
    ('blocks.*.mlp.fc1.*', 'layers.*.ffn.layers.0.0.*'),
    ('blocks.*.mlp.fc2.*', 'layers.*.ffn.layers.1.*'),
    ('norm.*', 'ln1.*'),
)
_MIT = tuple((theirs.format(stage + 1), ours.format(stage)) for stage in range(4) for theirs, ours in (
    ('patch_embed{}.proj.*', 'layers.{}.0.projection.*'),
    ('patch_embed{}.norm.*', 'layers.{}.0.norm.*'),
    ('block{}.*.norm1.*', 'layers.{}.1.*.norm1.*'),
    ('block{}.*.norm2.*', 'layers.{}.1.*.norm2.*'),
    ('block{}.*.attn.in_proj_*', 'layers.{}.1.*.attn.attn.in_proj_*'),  # theirs is in two: q and kv
    ('block{}.*.attn.proj.*', 'layers.{}.1.*.attn.attn.out_proj.*'),
    ('block{}.*.attn.sr.*', 'layers.{}.1.*.attn.sr.*'),
    ('block{}.*.attn.norm.*', 'layers.{}.1.*.attn.norm.*'),
    ('block{}.*.mlp.fc1.*', 'layers.{}.1.*.ffn.layers.0.*'),
    ('block{}.*.mlp.dwconv.dwconv.*', 'layers.{}.1.*.ffn.layers.1.*'),
    ('block{}.*.mlp.fc2.*', 'layers.{}.1.*.ffn.layers.4.*'),
    ('norm{}.*', 'layers.{}.2.*'),
))


def rename(state: Mapping, table: Sequence, inverse: bool = False) -> dict:
    """Rename the keys of a state dict by pairs of patterns ``(from, to)``, in which each ``*`` stands for the same text on both sides.

    With ``inverse`` they are read from right to left. A key that fits none keeps its name.
    """
    rules = [(re.compile(re.escape(old).replace(r'\*', '(.+)')), new.split('*'))
             for old, new in (pair[::-1] if inverse else pair for pair in table)]
    out = {}
    for key, value in state.items():
        for pattern, parts in rules:
            if match := pattern.fullmatch(key):
                key = ''.join(part + text for part, text in zip(parts, (*match.groups(), '')))
                break
        out[key] = value
    return out


def below(state: Mapping, prefix: str) -> dict:
    """What a state dict has below a prefix, without it."""
    return {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}


def vit_from_timm(state: Mapping) -> dict:
    """A timm ViT's weights (``blocks.0.attn.qkv.weight``) in mmpretrain's names (``layers.0.attn.qkv.weight``)."""
    return rename(state, _VIT)


def vit_to_timm(state: Mapping) -> dict:
    """The inverse of :func:`vit_from_timm`."""
    return rename(state, _VIT, inverse=True)


def mit_from_nvlabs(state: Mapping) -> dict:
    """Weights of NVlabs' SegFormer encoder (``block1.0.attn.q.weight``) in mmseg's names and shapes.

    mmseg keeps query, key and value in one matrix and the MLP's linear layers as 1x1 convolutions.
    """
    out = {}
    for key, value in state.items():
        if '.attn.kv.' in key and key.replace('.kv.', '.q.') in state:
            continue  # written with its query
        if '.attn.q.' in key and (pair := state.get(key.replace('.q.', '.kv.'))) is not None:
            key, value = key.replace('.q.', '.in_proj_'), torch.cat([value, pair])
        elif '.mlp.fc' in key and value.ndim == 2:
            value = value[:, :, None, None]
        out[key] = value
    return rename(out, _MIT)


def mit_to_nvlabs(state: Mapping) -> dict:
    """The inverse of :func:`mit_from_nvlabs`."""
    out = {}
    for key, value in rename(state, _MIT, inverse=True).items():
        if '.attn.in_proj_' in key:
            channels = len(value) // 3
            out[key.replace('.in_proj_', '.q.')] = value[:channels]
            key, value = key.replace('.in_proj_', '.kv.'), value[channels:]
        elif '.mlp.fc' in key and value.ndim == 4:
            value = value[:, :, 0, 0]
        out[key] = value
    return out
