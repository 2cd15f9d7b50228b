"""Encoders with weights that any program can make again, and what they give: the golden values of ``tests/data/golden_features.json``.

    python tests/models/golden.py        # writes the file anew

Weight number i of the tensor with key k (in this project's names, below ``streams.<name>``) is
``scale * sin(12.9898 * (i + 1) + crc32(k) % 1000)`` with scale ``sqrt(3 / fan_in)`` for tensors of two and more axes, and ``1 +``
(weights of norms, running variances) or ``0 +`` (biases, running means, other vectors) ``0.1 * sin(...)`` for the rest. The images are
made by the same formula with the modality's name as key and scale 1. The published code gives the same features with these weights.
"""
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from decur.apis import LoadedEncoder
from decur.weights.metadata import describe

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / 'tests' / 'data' / 'golden_features.json'
#: Name: config, height and width of the images.
CASES = {
    'resnet50': ('ssl4eo_s1-s2_r50_decur', 64),
    'resnet50-rda': ('ssl4eo_s1-s2_r50-rda_decur', 224),
    'vit-s16': ('ssl4eo_s1-s2_vit-s16_decur', 224),
    'mit-b2': ('decur_sunrgbd', 96),
    'mit-b5': ('sunrgbd_rgb-hha_mit-b5_decur', 64),
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


def features(case: str) -> dict:
    """Features ``{modality: (2, F)}`` of two images."""
    name, size = CASES[case]
    described = describe(Config.fromfile(ROOT / 'configs' / 'decur' / f'{name}.py').model)
    encoder = LoadedEncoder(described['modalities'], described['interactions'])
    inputs = {}
    for modality, stream in encoder.backbone.streams.items():
        fill(stream)
        shape = (2, encoder.modalities[modality]['channels'], size, size)
        inputs[modality] = torch.from_numpy(wave(modality, int(np.prod(shape))).reshape(shape)).float()
    with torch.no_grad():
        return encoder.extract_feat(inputs)


def summary(values: torch.Tensor) -> dict:
    """What is kept of ``(N, F)``: its shape, the first numbers and three sums that all numbers enter."""
    values = values.double()
    weights = torch.from_numpy(wave('summary', values.numel())).reshape(values.shape)
    return dict(shape=list(values.shape), first=values[:, :8].tolist(), norm=values.norm().item(), sum=values.sum().item(),
                projection=(values * weights).sum().item())


if __name__ == '__main__':
    golden = {case: {name: summary(x) for name, x in features(case).items()} for case in CASES}
    FILE.write_text(json.dumps(golden, indent=1) + '\n')
