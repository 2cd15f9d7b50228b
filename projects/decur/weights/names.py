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

# (pattern of theirs, ours) and back. A pattern matches whole keys; \1.. are taken over.
_VIT = (
    (r'patch_embed\.proj\.(.+)', r'patch_embed.projection.\1', r'patch_embed\.projection\.(.+)', r'patch_embed.proj.\1'),
    (r'blocks\.(\d+)\.norm([12])\.(.+)', r'layers.\1.ln\2.\3', r'layers\.(\d+)\.ln([12])\.(.+)', r'blocks.\1.norm\2.\3'),
    (r'blocks\.(\d+)\.attn\.(.+)', r'layers.\1.attn.\2', r'layers\.(\d+)\.attn\.(.+)', r'blocks.\1.attn.\2'),
    (r'blocks\.(\d+)\.mlp\.fc1\.(.+)', r'layers.\1.ffn.layers.0.0.\2', r'layers\.(\d+)\.ffn\.layers\.0\.0\.(.+)', r'blocks.\1.mlp.fc1.\2'),
    (r'blocks\.(\d+)\.mlp\.fc2\.(.+)', r'layers.\1.ffn.layers.1.\2', r'layers\.(\d+)\.ffn\.layers\.1\.(.+)', r'blocks.\1.mlp.fc2.\2'),
    (r'norm\.(weight|bias)', r'ln1.\1', r'ln1\.(weight|bias)', r'norm.\1'),
)

# Inside a MiT block: theirs, ours.
_MIT_BLOCK = (
    ('norm1.', 'norm1.'), ('norm2.', 'norm2.'), ('attn.proj.', 'attn.attn.out_proj.'), ('attn.sr.', 'attn.sr.'),
    ('attn.norm.', 'attn.norm.'), ('mlp.fc1.', 'ffn.layers.0.'), ('mlp.dwconv.dwconv.', 'ffn.layers.1.'), ('mlp.fc2.', 'ffn.layers.4.'),
)


def _rename(state: Mapping, rules: Sequence) -> dict:
    out = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            new, count = re.subn(rf'^{pattern}$', replacement, key)
            if count:
                key = new
                break
        out[key] = value
    return out


def vit_from_timm(state: Mapping) -> dict:
    """A timm ViT's weights (``blocks.0.attn.qkv.weight``) in mmpretrain's names (``layers.0.attn.qkv.weight``)."""
    return _rename(state, [rule[:2] for rule in _VIT])


def vit_to_timm(state: Mapping) -> dict:
    """The inverse of :func:`vit_from_timm`."""
    return _rename(state, [rule[2:] for rule in _VIT])


def mit_from_nvlabs(state: Mapping) -> dict:
    """Weights of NVlabs' SegFormer encoder (``block1.0.attn.q.weight``) in mmseg's names and shapes.

    mmseg keeps query, key and value in one matrix and the MLP's linear layers as 1x1 convolutions.
    """
    out = {}
    for key, value in state.items():
        if match := re.fullmatch(r'patch_embed(\d)\.(proj|norm)\.(.+)', key):
            stage, layer, rest = match.groups()
            key = f'layers.{int(stage) - 1}.0.{"projection" if layer == "proj" else "norm"}.{rest}'
        elif match := re.fullmatch(r'norm(\d)\.(.+)', key):
            key = f'layers.{int(match[1]) - 1}.2.{match[2]}'
        elif match := re.fullmatch(r'block(\d)\.(\d+)\.(.+)', key):
            head, inner = f'layers.{int(match[1]) - 1}.1.{match[2]}.', match[3]
            if joined := re.fullmatch(r'attn\.(q|kv)\.(weight|bias)', inner):
                if joined[1] == 'kv':
                    query = state.get(key.replace('.kv.', '.q.'))
                    if query is not None:
                        continue  # written with its query
                else:
                    pair = state.get(key.replace('.q.', '.kv.'))
                    if pair is not None:
                        key, value = f'{head}attn.attn.in_proj_{joined[2]}', torch.cat([value, pair])
            else:
                for theirs, ours in _MIT_BLOCK:
                    if inner.startswith(theirs):
                        key = head + ours + inner[len(theirs):]
                        if theirs.startswith('mlp.fc') and value.ndim == 2:
                            value = value[:, :, None, None]
                        break
        out[key] = value
    return out


def mit_to_nvlabs(state: Mapping) -> dict:
    """The inverse of :func:`mit_from_nvlabs`."""
    out = {}
    for key, value in state.items():
        match = re.fullmatch(r'layers\.(\d)\.(0|2)\.(.+)', key)
        block = re.fullmatch(r'layers\.(\d)\.1\.(\d+)\.(.+)', key)
        if match and match[2] == '0':
            key = f'patch_embed{int(match[1]) + 1}.{match[3].replace("projection", "proj")}'
        elif match:
            key = f'norm{int(match[1]) + 1}.{match[3]}'
        elif block:
            head, inner = f'block{int(block[1]) + 1}.{block[2]}.', block[3]
            if inner.startswith('attn.attn.in_proj_'):
                kind = inner.rsplit('_', 1)[1]
                channels = len(value) // 3
                out[f'{head}attn.q.{kind}'] = value[:channels]
                key, value = f'{head}attn.kv.{kind}', value[channels:]
            else:
                for theirs, ours in _MIT_BLOCK:
                    if inner.startswith(ours):
                        key = head + theirs + inner[len(ours):]
                        if theirs.startswith('mlp.fc') and value.ndim == 4:
                            value = value[:, :, 0, 0]
                        break
        out[key] = value
    return out
