"""The simulation of DisentangledSSL (arXiv 2410.23996): vectors that shared and private Gaussian factors are mixed into."""
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decur.evaluation.decoupling import probe
from decur.models.objectives import DisentangledSSLHead

from .training import fit

#: Length of each of the three factors, and of an embedding's common and of its unique dimensions, as published.
FACTOR, BLOCK = 50, 100
NAMES = ('first', 'second')


def simulate(num: int, seed: int) -> tuple[dict, dict]:
    """Vectors of two modalities and three labels.

    Factors are normal with a variance of 0.5. A modality is a product of a uniform matrix and the shared and its own factor. A label is
    whether a random network of one factor, with noise, is above its median.

    Args:
        num: N.
        seed: of everything.

    Returns:
        tuple: ``{modality: (N, 100) float32}`` and ``{'shared', 'first', 'second': (N,) int64, 0 or 1}``.
    """
    rng = np.random.default_rng(seed)
    factors = {name: rng.normal(0, np.sqrt(.5), (num, FACTOR)) for name in ('shared', *NAMES)}
    observed, labels = {}, {}
    for name in NAMES:
        both = np.concatenate([factors[name], factors['shared']], axis=1)
        observed[name] = torch.from_numpy(both @ rng.uniform(-1, 1, (2 * FACTOR, 2 * FACTOR))).float()
    for name, factor in factors.items():
        hidden = np.maximum(factor @ _uniform(rng, FACTOR, 100) + rng.uniform(-.14, .14, 100), 0)
        value = hidden @ _uniform(rng, 100, 1)[:, 0] + rng.normal(0, .1, num)
        labels[name] = (value >= np.median(value)).astype(np.int64)
    return observed, labels


def _uniform(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Weights by the rule of Glorot and Bengio."""
    bound = np.sqrt(6 / (rows + columns))
    return rng.uniform(-bound, bound, (rows, columns))


def augmented(x: Tensor) -> Tensor:
    """Of each vector ``(N, D)``, at random: noise of 0.01, a tenth of the values 0, or nothing."""
    kind = torch.randint(3, (len(x), 1))
    dropped = torch.rand_like(x).argsort(1) < x.shape[1] // 10
    return torch.where(kind == 0, x + .01 * torch.randn_like(x), torch.where((kind == 1) & dropped, 0., x))


class TwoPartEncoder(nn.Module):
    """As published: a network for the common dimensions, and one for the unique ones, which sees the common ones too."""

    def __init__(self, width: int):
        super().__init__()
        self.common, self.unique = _mlp(2 * FACTOR, width), _mlp(2 * FACTOR + BLOCK, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 100)`` to ``(N, 200)``, common dimensions first."""
        common = self.common(x)
        return torch.cat([common, self.unique(torch.cat([x, common.detach()], 1))], 1)


def _mlp(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, BLOCK))


def drawn(z: Tensor) -> Tensor:
    """Embeddings whose common dimensions are a direction drawn around theirs.

    The authors draw from a von Mises-Fisher distribution of concentration 1000, which in 100 dimensions is close to this normal noise.
    """
    common = F.normalize(z[:, :BLOCK])
    return torch.cat([F.normalize(common + torch.randn_like(common) / 1000**.5), z[:, BLOCK:]], 1)


def run(beta: float, lambd: float, draw: bool, seed: int, steps: int, num: int = 40000, width: int = 256, batch_size: int = 256) -> dict:
    """Train encoders of both modalities, and read the labels from their dimensions.

    Args:
        beta, lambd: of :class:`~decur.models.objectives.DisentangledSSLHead`.
        draw: whether training sees common dimensions that are :func:`drawn`; the head does without.
        seed: of the data and the training.
        steps: of Adam, whose rate falls from 1e-3 to 0 as a cosine.
        num: samples; half of them fit the probes, half test them.
        width: of the encoders' hidden layers.
        batch_size: samples in a step.

    Returns:
        dict: Accuracy in percent by ``'<dimensions>: <label>'``: common dimensions of both modalities, unique ones of each.
    """
    x, labels = simulate(num, seed)
    torch.manual_seed(seed)
    encoders = nn.ModuleDict({name: TwoPartEncoder(width) for name in NAMES})
    head = DisentangledSSLHead(BLOCK, beta=beta, lambd=lambd, statistics=False)
    see = drawn if draw else nn.Identity()

    def loss_of_step() -> Tensor:
        rows = torch.randint(num, (batch_size, ))
        return head.loss({name: tuple(see(encoders[name](augmented(x[name][rows]))) for _ in range(2)) for name in NAMES})['loss']

    fit(torch.optim.Adam(encoders.parameters(), lr=1e-3), loss_of_step, steps,
        f'beta {beta:g}, lambda {lambd:g}{", drawn" if draw else ""}, seed {seed}')
    with torch.no_grad():
        z = {name: encoders[name](x[name]) for name in NAMES}
    # Their length says nothing: the objective compares directions.
    parts = {'common': torch.cat([F.normalize(z[name][:, :BLOCK]) for name in NAMES], 1),
             **{f'unique {name}': F.normalize(z[name][:, BLOCK:]) for name in NAMES}}
    return {f'{part}: {label}': 100 * probe(features.numpy(), values, 'categorical')
            for part, features in parts.items() for label, values in labels.items()}
