"""Encoders with weights that any program can make again, and what they give: the golden values of ``tests/data/golden_features.json``.

    PYTHONPATH=projects:tests python tests/models/golden.py     # writes the file anew

The file is computed by tests/references.py and not by this project's models.

Weight number i of the tensor with key k (in this project's names, below ``streams.<name>``) is
``scale * sin(12.9898 * (i + 1) + crc32(k) % 1000)`` with scale ``sqrt(3 / fan_in)`` for tensors of two and more axes, and ``1 +``
(weights of norms, running variances) or ``0 +`` (biases, running means, other vectors) ``0.1 * sin(...)`` for the rest. The images are
made by the same formula with the modality's name as key and scale 1; both are rounded to float32. The published code gives the same
features with these weights.
"""
import json
import zlib
from pathlib import Path

import numpy as np
import references
import torch

from decur.apis import LoadedEncoder

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / 'tests' / 'data' / 'golden_features.json'
RDA = {2: dict(type='RDA', num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14),
       3: dict(type='RDA', num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)}
SAR_OPTICAL, RGB_HHA = dict(sar=2, optical=13), dict(rgb=3, hha=3)
RESNET = dict(encoder=dict(type='mmpretrain.ResNet', depth=50))
#: Name: channels by modality, what else a modality's entry has, height and width of the images, and the reference.
CASES = {
    'resnet50': (SAR_OPTICAL, RESNET, 64, references.resnet50),
    'resnet50-rda': (SAR_OPTICAL, dict(RESNET, attention=RDA), 224, references.resnet50),
    'vit-s16': (SAR_OPTICAL, dict(encoder=dict(type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16)), 224,
                references.vit),
    'mit-b2': (RGB_HHA, dict(encoder=dict(type='DecurMixVisionTransformer', arch='b2'), feature_channels=2048), 96,
               lambda state, x: references.mit(state, x, (3, 4, 6, 3))),
    'mit-b5': (RGB_HHA, dict(encoder=dict(type='DecurMixVisionTransformer', arch='b5'), feature_channels=2048), 64,
               lambda state, x: references.mit(state, x, (3, 6, 40, 3))),
}


def wave(key: str, count: int) -> np.ndarray:
    """The formula above, float64."""
    return np.sin(12.9898 * np.arange(1, count + 1) + zlib.crc32(key.encode()) % 1000)


def fill(stream) -> None:
    """Give a stream the weights."""
    for key, value in stream.state_dict().items():
        if not value.is_floating_point():
            continue
        numbers = wave(key, value.numel())
        if value.ndim > 1 and not key.endswith('pos_embed'):
            numbers = numbers * np.sqrt(3 / value[0].numel())
        else:
            one = key.endswith('running_var') or (key.endswith('weight') and value.ndim == 1)
            numbers = one + 0.1 * numbers
        value.copy_(torch.from_numpy(numbers.reshape(value.shape)))


def build(case: str, modalities=None) -> LoadedEncoder:
    """The encoders of a case (or some of them) with their weights, float32."""
    channels, entry, _, _ = CASES[case]
    encoder = LoadedEncoder({name: dict(entry, channels=channels[name]) for name in modalities or channels})
    for stream in encoder.backbone.streams.values():
        fill(stream)
    return encoder


def images(case: str, batch: int = 2, size: int | None = None) -> dict:
    """The images of a case, ``{modality: (batch, C, size, size)}`` float32."""
    channels, _, usual, _ = CASES[case]
    out = {}
    for name, count in channels.items():
        shape = (batch, count, size or usual, size or usual)
        out[name] = torch.from_numpy(wave(name, int(np.prod(shape))).reshape(shape)).float()
    return out


def features(case: str) -> dict:
    """Features ``{modality: (2, F)}`` of this project's models."""
    with torch.no_grad():
        return build(case).extract_feat(images(case))


def reference(case: str, encoder: LoadedEncoder, inputs: dict) -> dict:
    """Features of ``references.py`` with the weights of ``encoder``, float64."""
    state = {name: {key: value.double() for key, value in stream.state_dict().items()}
             for name, stream in encoder.backbone.streams.items()}
    with torch.no_grad():
        return {name: CASES[case][3](state[name], x.double()) for name, x in inputs.items()}


def summary(values: torch.Tensor) -> dict:
    """What is kept of ``(N, F)``: its shape, the first numbers and three sums that all numbers enter."""
    values = values.double()
    weights = torch.from_numpy(wave('summary', values.numel())).reshape(values.shape)
    return dict(shape=list(values.shape), first=values[:, :8].tolist(), norm=values.norm().item(), sum=values.sum().item(),
                projection=(values * weights).sum().item())


if __name__ == '__main__':
    golden = {case: {name: summary(x) for name, x in reference(case, build(case), images(case)).items()} for case in CASES}
    FILE.write_text(json.dumps(golden, indent=1) + '\n')
