r"""DeCUR's objective (arXiv 2309.05300, supplement, Algorithm 1) for any number of modalities.

Within a modality the two views are to agree in every dimension (Barlow Twins). Across modalities the first ``common_dim`` dimensions are
to agree and the others, the unique ones, are to be uncorrelated. Every term is a sum over a cross-correlation matrix
:math:`C = Z_a^T Z_b / N` of two standardised views. It needs the diagonal of C and the sum of all squares, and the latter is

.. math:: \sum_{ij} C_{ij}^2 = \sum_{kl} (Z_a Z_a^T)_{kl} (Z_b Z_b^T)_{kl} / N^2,

so that Gram matrices (N x N) take the place of C (K x K).
"""
from collections.abc import Mapping
from functools import cache
from itertools import combinations

import torch
from mmengine.registry import MODELS
from torch import Tensor

from decur.errors import ConfigError, check_choice

from .objective import Batch, ObjectiveHead, evaluate
from .statistics import mean_diagonals

KINDS = ('intra', 'common', 'unique')


def decur_loss(embeddings: Mapping, common_dim: int, lambd: float | Mapping = 0.0051, *, weighting: str = 'paper', intra: bool = True,
               form: str = 'auto', grad_reduce: str = 'exact', present: Mapping | None = None, eps: float = 1e-5) -> dict:
    r"""DeCUR's loss and its terms over the batch of all processes.

    - ``loss_intra_<m>``: :math:`\sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \neq j} C_{ij}^2` between the two views of m;
    - ``loss_common_<a>_<b>``: the same between the first views of a and b, over the first ``common_dim`` dimensions;
    - ``loss_unique_<a>_<b>``: :math:`\sum_i C_{ii}^2 + \lambda \sum_{i \neq j} C_{ij}^2` between them, over the other dimensions.

    Args:
        embeddings (dict[str, tuple[Tensor, Tensor]]): Two views ``(N, K)`` by modality: the projectors' output of this process, of any
            floating dtype, not standardised. N may differ between processes.
        common_dim (int): Number of common dimensions, 0 to K.
        lambd (float | dict): Weight of the off-diagonal squares: one for all, or by kind (``'intra'``, ``'common'``, ``'unique'``) or by
            term (``'intra_<m>'``, ...; it wins over its kind). A dict must cover every term. Defaults to 0.0051.
        weighting (str): ``'paper'``: the sum of all terms. ``'published_code'``: for M modalities and P pairs
            :math:`(\sum L_m + \sum (L_c + L_u) / 2) / (M + P)`, which is (L1 + L2 + (Lc + Lu) / 2) / 3 for two. Defaults to ``'paper'``.
        intra (bool): Include the terms within modalities. False is an ablation. Defaults to True.
        form (str): ``'gram'`` (O(N^2 K) time), ``'matrix'`` (O(N K^2) time, K x K memory) or ``'auto'``: Gram where N <= K. Same values.
        grad_reduce (str): ``'exact'``: after DistributedDataParallel's averaging the gradient is that of one process on the whole batch.
            ``'published'``: 1/W of it for W processes, as in the published code. Defaults to ``'exact'``.
        present (dict[str, Tensor], optional): ``(N,)`` bool by modality: which samples have it. Every term is computed, and its views
            standardised, on the samples that have what it relates; with fewer than 2 of them in all processes it is 0 without gradient.
        eps (float): Added to the variance. Defaults to 1e-5.

    Returns:
        dict[str, Tensor]: Scalars: ``loss`` and the terms, all with gradient, the same on every process, in float32 (float64 for float64
        embeddings). Embeddings that are not finite make the terms that they enter NaN, and no others.

    Raises:
        ConfigError: If there are fewer than 2 modalities, ``common_dim`` is outside 0..K, or an option is unknown.
        DataError: If shapes disagree or there are fewer than 2 samples in all processes.
    """
    objective = DeCURHead(common_dim, lambd, weighting, intra, form, eps).objective
    return evaluate(objective, embeddings, present, num_views=2, grad_reduce=grad_reduce)[0]


@MODELS.register_module()
class DeCURHead(ObjectiveHead):
    """:func:`decur_loss` as a head, with its options. The log shows the terms and the mean diagonals of their matrices C."""

    num_views = 2

    def __init__(self, common_dim: int, lambd: float | Mapping = 0.0051, weighting: str = 'paper', intra: bool = True,
                 form: str = 'auto', eps: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        check_choice('weighting', weighting, ('paper', 'published_code'))
        self.common_dim, self.lambd, self.weighting, self.intra, self.form, self.eps = common_dim, lambd, weighting, intra, form, eps

    def objective(self, batch: Batch) -> tuple:
        """Algorithm 1; see :class:`ObjectiveHead`."""
        width, common = batch.width, self.common_dim
        if isinstance(common, bool) or not isinstance(common, int) or not 0 <= common <= width:
            raise ConfigError(f'common_dim must be an integer in 0..{width} (the embedding width), got {common!r}.')
        # Name: kind, modality and view of Za and of Zb, target of the diagonal.
        plan = {f'intra_{m}': ('intra', (m, 0), (m, 1), 1.) for m in batch.views if self.intra}
        for a, b in combinations(batch.views, 2):
            plan[f'common_{a}_{b}'] = ('common', (a, 0), (b, 0), 1.)
            plan[f'unique_{a}_{b}'] = ('unique', (a, 0), (b, 0), 0.)
        weights = off_diagonal_weights(self.lambd, {name: kind for name, (kind, *_) in plan.items()})

        @cache  # a view enters several terms
        def blocks(modality: str, view: int, needed: tuple) -> dict:
            z = standardize(batch.rows(modality, view, needed), self.eps)
            shared, own = (with_gram(part, self.form, width) for part in (z[:, :common], z[:, common:]))
            gram = None if shared[1] is None else shared[1] + own[1]  # that of all columns is the sum of its parts
            return dict(intra=(z, gram), common=shared, unique=own)

        terms, diagonals = {}, {}
        for name, (kind, first, second, target) in plan.items():
            needed = (first[0], second[0]) if batch.present else ()
            a, b = blocks(*first, needed)[kind], blocks(*second, needed)[kind]
            terms[name], diagonals[name] = correlation_term(a, b, target, weights[name])
        return self.total(terms, len(batch.views)), terms, mean_diagonals(diagonals)

    def total(self, terms: Mapping, modalities: int) -> Tensor:
        """What is optimised: the terms of so many modalities, as ``weighting`` says."""
        total = sum(terms.values())
        if self.weighting == 'published_code':
            within = sum(value for name, value in terms.items() if name.startswith('intra_'))
            total = (within + (total - within) / 2) / (modalities * (modalities + 1) // 2)  # modalities and pairs
        return total


def standardize(z: Tensor, eps: float) -> Tensor:
    """Zero mean and unit (biased) variance of every column of ``(n, K)``; a constant column becomes exactly 0."""
    z = z - z[:1].detach()  # changes nothing but rounding: the mean of a constant column is exact then
    z = z - z.mean(dim=0)
    return z * torch.rsqrt(z.square().mean(dim=0) + eps)


def with_gram(z: Tensor, form: str, width: int) -> tuple:
    """``(z, z z^T)``, or ``(z, None)`` for the matrix form: ``'auto'`` takes it where the batch is larger than embeddings are wide."""
    check_choice('form', form, ('auto', 'gram', 'matrix'))
    return z, z @ z.T if form == 'gram' or (form == 'auto' and len(z) <= width) else None


def correlation_term(a: tuple, b: tuple, target: float, lambd: float) -> tuple:
    r""":math:`\sum_i (C_{ii} - t)^2 + \lambda \sum_{i \neq j} C_{ij}^2` and the diagonal of C, from two results of :func:`with_gram`."""
    (za, gram_a), (zb, gram_b), n = a, b, len(a[0])
    if not n:
        return za.sum(), za.new_zeros(za.shape[1])  # no samples: 0 with a graph, so that backward can run
    # Sums are taken in double precision, so that their differences keep single precision.
    if gram_a is None:
        matrix = za.T @ zb / n
        diagonal = matrix.diagonal().double()
        off_diagonal = (matrix - matrix.diagonal().diag()).square().sum(dtype=torch.float64)
    else:
        diagonal = (za * zb).mean(dim=0).double()
        off_diagonal = (gram_a * gram_b).sum(dtype=torch.float64) / n**2 - diagonal.square().sum()
    return ((diagonal - target).square().sum() + lambd * off_diagonal).to(za.dtype), diagonal.detach()


def off_diagonal_weights(lambd: float | Mapping, kinds: Mapping) -> dict:
    """The weight of the off-diagonal squares of every term: its own, or that of its kind."""
    given = lambd if isinstance(lambd, Mapping) else dict.fromkeys(KINDS, lambd)
    weights = {name: given.get(name, given.get(kind)) for name, kind in kinds.items()}
    unknown = [key for key in given if key not in (*KINDS, *kinds)]
    wrong = {name: value for name, value in weights.items() if not isinstance(value, int | float) or not value >= 0}
    if unknown or wrong:
        raise ConfigError(f'lambd must be a number of at least 0, or such numbers by kind {KINDS} or by term {list(kinds)}: '
                          f'unknown {unknown}, missing or wrong {wrong}.')
    return weights
