"""CoMM's experiment (arXiv 2409.07402) on pairs of pictures: what both show, what one shows alone, and what only both together tell."""
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

import decur
from decur.evaluation.decoupling import probe
from decur.models.objectives import CoMMHead
from decur.synthetic.factors import ATTRIBUTES, RenderedWorld
from decur.weights.quiet import no_line_for_every_tensor

from .training import fit

NAMES = ('first', 'second')
#: Width of CoMM's tokens.
WIDTH = 256
#: Objectives by name: options of the model.
METHODS = {
    'random': {},
    'cross': {'model.head': dict(_delete_=True, type='MultimodalCLIPHead'), 'model.neck.num_layers': 2},
    'decur': {},
    'comm': {'model.head': dict(_delete_=True, type='CoMMHead', width=WIDTH, statistics=False), 'model.neck.num_layers': 1},
}


def pairs(num: int, seed: int, coupled: float, size: int = 24) -> tuple[dict, dict]:
    """Pairs of pictures that share the shape; the others of their attributes are drawn for each.

    A fixed permutation couples the texture of the first picture with the colour of the second. What one picture shows alone is the
    direction in which its ground grows brighter: here even random encoders show all textures, which are the authors' choice.

    Args:
        num: N.
        seed: of the draw.
        coupled: share of the pairs in which they go together; in the others they do not.
        size: of the pictures, pixels.

    Returns:
        tuple: ``{picture: (N, 3, H, W) float32}``, normalised, and ``{'shared', 'first', 'second', 'together': (N,)}``: the shape (int64),
        the directions (float32, radians), and whether the pair is coupled (int64).
    """
    factors = dict(shape=[NAMES], **{attribute: [(name, ) for name in NAMES] for attribute in ('texture', 'colour', 'orientation')})
    world = RenderedWorld(dict.fromkeys(NAMES, 3), factors, dict.fromkeys(NAMES, 'fill'), size)
    values, rng, count = world.sample_factors(num, seed), np.random.default_rng(seed + 10**6), ATTRIBUTES['colour'][1]
    partner = np.random.default_rng(0).permutation(count)[values['texture_first']]
    together = rng.random(num) < coupled
    values['colour_second'] = np.where(together, partner, (partner + rng.integers(1, count, num)) % count)
    images = {name: torch.from_numpy(x).permute(0, 3, 1, 2).sub(.5).div(.25) for name, x in world.render(values).items()}
    return images, dict(shared=values['shape'], first=values['orientation_first'], second=values['orientation_second'],
                        together=together.astype(np.int64))


def augmented(x: Tensor) -> Tensor:
    """Pictures ``(N, C, H, W)``, each shifted by up to two pixels, brighter or darker, and with noise."""
    n, _, height, width = x.shape
    dy, dx = (torch.randint(-2, 3, (n, 1, 1)) for _ in range(2))
    rows = (torch.arange(height)[None, :, None] + dy).clamp(0, height - 1)
    columns = (torch.arange(width)[None, None, :] + dx).clamp(0, width - 1)
    x = x.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows, columns].permute(0, 3, 1, 2)
    return x + .4 * (torch.rand(n, 1, 1, 1) * 2 - 1) + .4 * torch.randn_like(x)


def build(config: Path, method: str) -> nn.Module:
    """The shapes world's model, for two modalities of three channels."""
    cfg = Config.fromfile(config)
    entry = dict(channels=3, mean=[.5], std=[.25], encoder=cfg.encoder)
    cfg.modalities = dict.fromkeys(NAMES, entry)
    model = decur.build_model(cfg, METHODS[method])
    with no_line_for_every_tensor():
        model.init_weights()
    return model


def run(method: str, seed: int, steps: int, config: Path, num: int = 8192, num_probe: int = 8000, batch_size: int = 64) -> dict:
    """Train on coupled pairs, and read the labels of other pairs, half of them coupled.

    Args:
        method: one of :data:`METHODS`.
        seed: of data and training.
        steps: of AdamW, whose rate falls from 2e-3 to 0 as a cosine.
        config: the shapes world's.
        num: pairs of the training.
        num_probe: other pairs; half of them fit the probes, half test them.
        batch_size: pairs in a step.

    Returns:
        dict: In percent, by ``'<representation>: <label>'``, accuracy, or R^2 of the directions. Representations are the features of both
        encoders, and what the objective has of both pictures: their embeddings, or CoMM's class token.
    """
    torch.manual_seed(seed)
    model, (x, _) = build(config, method).train(), pairs(num, 2 * seed, coupled=1.)

    def loss_of_step() -> Tensor:
        rows = torch.randint(num, (batch_size, ))
        return model({name: [augmented(x[name][rows]) for _ in range(2)] for name in NAMES}, mode='loss')['loss']

    # Random encoders stay as they are, but their batch normalization takes its statistics from the data.
    rate = 0. if method == 'random' else 2e-3
    fit(torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4), loss_of_step, steps, f'{method}, seed {seed}')
    x, labels = pairs(num_probe, 2 * seed + 1, coupled=.5)
    model.eval()
    with torch.no_grad():
        features = model.extract_feat(x)
        z = [model.neck(features)[name] for name in NAMES]
        together = model.head.fuse(z) if isinstance(model.head, CoMMHead) else torch.cat(z, 1)
    parts = dict(encoders=torch.cat([features[name] for name in NAMES], 1), together=together)
    return {f'{part}: {label}': 100 * probe(features.numpy(), values, 'periodic' if label in NAMES else 'categorical')
            for part, features in parts.items() for label, values in labels.items()}
