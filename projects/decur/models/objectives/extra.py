"""Terms that can be added to an objective: ``head=dict(..., extra=[dict(type='CrossBlockTerm', weight=0.0051)])``."""
from functools import partial
from itertools import combinations, permutations

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from decur.errors import ConfigError

from .batch import Batch
from .decur import standardize
from .disentangled import contrast, specific_contrasts


class ExtraTerm(BaseModule):
    """A further term of an objective; a subclass implements :meth:`forward`.

    Args:
        weight (float): What its values are multiplied by in the total, see :meth:`factor`; the log shows them without it.

    Raises:
        ConfigError: If the weight is negative or no number.
    """

    def __init__(self, weight: float, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise ConfigError(f'the weight of {type(self).__name__} must be a number of at least 0, got {weight!r}.')
        self.weight = weight

    def forward(self, batch: Batch, head) -> dict:
        """Scalars with gradient by name, of the batch of all processes and the head that the term belongs to."""
        raise NotImplementedError

    def factor(self, batch: Batch) -> float:
        """What the sum of the values is multiplied by: the weight, where a subclass does not make it depend on the batch."""
        return self.weight

    def _common_dim(self, batch: Batch, head) -> int:
        common = getattr(head, 'common_dim', None)
        if common is None or not 0 < common < batch.width:
            raise ConfigError(f'{type(self).__name__} relates common and unique dimensions: {type(head).__name__} has common_dim={common} '
                              f'of {batch.width}.')
        return common


@MODELS.register_module()
class CrossBlockTerm(ExtraTerm):
    r"""Common dimensions are to say nothing about unique ones.

    DeCUR's off-diagonal terms compare two views; nothing keeps the common block of a view from holding what its unique block holds. With
    standardised blocks :math:`Z_c` and :math:`Z_u` of first views,

    - ``kind='correlation'``: :math:`\sum_{ij} (Z_c^T Z_u / N)_{ij}^2`, by Gram matrices;
    - ``kind='hsic'``: normalised HSIC (Gretton et al., 2005; biased) with Gaussian kernels of the median distance, which sees nonlinear
      dependence too: 0 for independent blocks and 1 for blocks that determine each other. Costs O(N^2 K).

    ``cross_block_<m>`` is within modality m, ``cross_block_<a>_<b>`` between the common block of a and the unique one of b. With fewer
    than 2 samples that have what a term relates it is 0.

    Args:
        weight (float): Of the sum of all values. Defaults to 0.0051, the paper's weight of off-diagonal squares.
        within (bool): Within every modality. Defaults to True.
        across (bool): Across every ordered pair of modalities. Defaults to True.
        kind (str): ``'correlation'`` or ``'hsic'``. Defaults to ``'correlation'``.

    Raises:
        ConfigError: If the kind is unknown, or, in training, the head has no ``common_dim`` or one of the blocks is empty.
    """

    def __init__(self, weight: float = 0.0051, within: bool = True, across: bool = True, kind: str = 'correlation', **kwargs):
        super().__init__(weight, **kwargs)
        if kind not in ('correlation', 'hsic'):
            raise ConfigError(f"kind must be 'correlation' or 'hsic', got {kind!r}.")
        self.within, self.across, self.kind = within, across, kind

    def forward(self, batch: Batch, head) -> dict:
        """See :class:`ExtraTerm`."""
        common = self._common_dim(batch, head)
        pairs = [(m, m) for m in batch.views if self.within] + [pair for pair in permutations(batch.views, 2) if self.across]
        compare = normalised_hsic if self.kind == 'hsic' else _squared_correlations
        values = {}
        for a, b in pairs:
            first, second = (standardize(batch.rows(m, 0, (a, b)), _eps(head)) for m in (a, b))
            name = f'cross_block_{a}' if a == b else f'cross_block_{a}_{b}'
            values[name] = compare(first[:, :common], second[:, common:]) if len(first) else first.sum() + second.sum()
        return values


@MODELS.register_module()
class SampleContrastTerm(ExtraTerm):
    r"""Embeddings are to tell samples apart, beside DeCUR's terms, which decorrelate dimensions.

    Decorrelation asks every unique dimension for another function of the image, and interactions of a few factors satisfy it. Contrast asks
    the unique dimensions together for what tells a sample from those that look the same to the other modality. With blocks
    :math:`Z_c` and :math:`Z_u` of embeddings standardised over the batch, as DeCUR's terms see them, and the two cross-entropies of
    :func:`~decur.models.clip_loss`,

    - ``specific_<m>`` is the contrast between the two views of m of :math:`[Z_u^m, Z_c^b]`, averaged over the other modalities b; no
      gradient reaches :math:`Z_c` (Wang et al., ICLR 2025, arXiv 2410.23996, section 3, where embeddings are not standardised);
    - ``shared_<a>_<b>`` is the contrast between :math:`Z_c^a` and :math:`Z_c^b` of first views.

    With fewer than 2 samples that have what a term relates it is 0.

    Args:
        weight (float): Of the sum of all values, for each dimension of the embedding: DeCUR's terms are sums over dimensions, so that one
            weight fits embeddings of any width. Defaults to 0.12.
        temperature (float): Above 0. Defaults to 0.07.
        specific (bool), shared (bool): Which of the two. Default to True and False.

    Raises:
        ConfigError: If the temperature is not positive or, in training, the head has no ``common_dim``, reads a single view, or one of the
            blocks is empty.
    """

    def __init__(self, weight: float = 0.12, temperature: float = 0.07, specific: bool = True, shared: bool = False, **kwargs):
        super().__init__(weight, **kwargs)
        if not temperature > 0:
            raise ConfigError(f'temperature must be above 0, got {temperature!r}.')
        self.temperature, self.specific, self.shared = temperature, specific, shared

    def factor(self, batch: Batch) -> float:
        """The weight times the width of the embedding."""
        return self.weight * batch.width

    def forward(self, batch: Batch, head) -> dict:
        """See :class:`ExtraTerm`."""
        common, prepare = self._common_dim(batch, head), partial(standardize, eps=_eps(head))
        if self.specific and head.num_views < 2:
            raise ConfigError(f'SampleContrastTerm(specific=True) compares two views of a modality; {type(head).__name__} reads one.')
        values = {}
        if self.shared:
            for a, b in combinations(batch.views, 2):
                blocks = [prepare(batch.rows(m, 0, (a, b)))[:, :common] for m in (a, b)]
                values[f'shared_{a}_{b}'] = contrast(*blocks, self.temperature)
        if self.specific:
            values.update(specific_contrasts(batch, common, self.temperature, prepare))
        return values


def _eps(head) -> float:
    """What the head adds to variances; an objective that standardises nothing has none, and gets DeCUR's default."""
    return getattr(head, 'eps', 1e-5)


def _squared_correlations(a: Tensor, b: Tensor) -> Tensor:
    return ((a @ a.T) * (b @ b.T)).sum(dtype=torch.float64).to(a.dtype) / len(a)**2


def normalised_hsic(a: Tensor, b: Tensor) -> Tensor:
    """HSIC(a, b) / sqrt(HSIC(a, a) HSIC(b, b)) of ``(N, ...)`` samples, biased, with Gaussian kernels of the median distance: 0..1."""
    ka, kb = (_centred_kernel(x) for x in (a, b))
    scale = (ka.square().sum() * kb.square().sum()).sqrt()
    return (ka * kb).sum() / scale.clamp(min=torch.finfo(a.dtype).tiny)


def _centred_kernel(x: Tensor) -> Tensor:
    """``exp(-d^2 / median(d^2))``, its rows and columns centred. The bandwidth is a constant for the gradient."""
    square = (x.square().sum(1)[:, None] + x.square().sum(1)[None] - 2 * x @ x.T).clamp(min=0)
    apart = square.detach()[~torch.eye(len(x), dtype=torch.bool, device=x.device)]
    k = torch.exp(-square / apart.median().clamp(min=torch.finfo(x.dtype).tiny))
    return k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()
