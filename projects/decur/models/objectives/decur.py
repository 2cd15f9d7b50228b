"""DeCUR's objective (arXiv 2309.05300, supplement, Algorithm 1) for any number of modalities.

Within a modality the two views are to agree in every dimension (Barlow Twins). Across modalities the first ``common_dim`` dimensions are
to agree and the others, the unique ones, are to be uncorrelated.
"""
from collections.abc import Mapping
from itertools import combinations

import torch
from mmengine.registry import MODELS

from decur.errors import ConfigError

from .correlation import Term, correlation_terms
from .gather import check_embeddings, gather_embeddings
from .head import ObjectiveHead, mean_diagonals

WEIGHTINGS = ('paper', 'published_code')
KINDS = ('intra', 'common', 'unique')


def decur_loss(embeddings: Mapping,
               common_dim: int,
               lambd: float | Mapping = 0.0051,
               *,
               weighting: str = 'paper',
               intra: bool = True,
               form: str = 'auto',
               grad_reduce: str = 'exact',
               present: Mapping | None = None,
               eps: float = 1e-5) -> dict:
    r"""DeCUR's loss and its terms, over the batch of all processes.

    With Z standardised over the batch (biased variance) and :math:`C = Z_a^T Z_b / N`:

    - ``loss_intra_<m>``: :math:`\sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \neq j} C_{ij}^2` between the two views of m;
    - ``loss_common_<a>_<b>``: the same between the first views of a and b, over the first ``common_dim`` dimensions;
    - ``loss_unique_<a>_<b>``: :math:`\sum_i C_{ii}^2 + \lambda \sum_{i \neq j} C_{ij}^2` between them, over the other dimensions.

    The pairs are all pairs of modalities in the order of ``embeddings``. The loss is computed in float32 (float64 for float64 input) with
    autocast off. Embeddings that are not finite make the terms they enter NaN and leave the others as they are.

    Args:
        embeddings (dict[str, tuple[Tensor, Tensor]]): Two views ``(N, K)`` by modality: the projectors' output of this process, any
            floating dtype. N may differ between processes.
        common_dim (int): Number of common dimensions, 0 to K.
        lambd (float | dict): Weight of the off-diagonal squares: one for all, or by kind (``'intra'``, ``'common'``, ``'unique'``) or by
            term (``'intra_<m>'``, ``'common_<a>_<b>'``, ...; it wins over its kind). A dict must cover every term. Defaults to 0.0051.
        weighting (str): ``'paper'``: the sum of all terms. ``'published_code'``: for M modalities and P pairs
            :math:`(\sum L_m + \sum (L_c + L_u) / 2) / (M + P)`, which is (L1 + L2 + (Lc + Lu) / 2) / 3 for two. Defaults to ``'paper'``.
        intra (bool): Include the terms within modalities. False is the ablation: nothing then asks unique dimensions to carry anything.
            Defaults to True.
        form (str): ``'gram'`` (O(N^2 K) time, O(NK + N^2) memory), ``'matrix'`` (O(N K^2), O(K^2)) or ``'auto'``. Same value and gradient.
        grad_reduce (str): ``'exact'``: after DistributedDataParallel's averaging the gradient is that of one process on the whole batch.
            ``'published'``: 1/W of it, as published. Defaults to ``'exact'``.
        present (dict[str, Tensor], optional): ``(N,)`` bool by modality: which samples have it. Every term is computed on the samples that
            have what it relates, standardised over these; with fewer than 2 of them in all processes it is 0 and has no gradient.
            Modalities that are left out have every sample.
        eps (float): Added to the variance. Defaults to 1e-5.

    Returns:
        dict[str, Tensor]: Scalars: ``loss`` and the terms, all with gradient, the same on every process.

    Raises:
        ConfigError: If there are fewer than 2 modalities, ``common_dim`` is outside 0..K, or an option is unknown.
        DataError: If shapes disagree or there are fewer than 2 samples in all processes.
    """
    return _decur_loss(embeddings, common_dim, lambd, weighting, intra, form, grad_reduce, present, eps)[0]


def _decur_loss(embeddings, common_dim, lambd, weighting, intra, form, grad_reduce, present, eps) -> tuple:
    """The dict of :func:`decur_loss`; the terms' diagonals by name; the gathered embeddings and masks."""
    embeddings, present = check_embeddings(embeddings, present, views=2)
    names = list(embeddings)
    width = embeddings[names[0]][0].shape[1]
    if isinstance(common_dim, bool) or not isinstance(common_dim, int) or not 0 <= common_dim <= width:
        raise ConfigError(f'common_dim must be an integer in 0..{width} (the embedding width), got {common_dim!r}.')
    if weighting not in WEIGHTINGS:
        raise ConfigError(f'weighting must be one of {WEIGHTINGS}, got {weighting!r}.')
    pairs = list(combinations(names, 2))
    # Term name: (kind, modality and view of Za, of Zb, columns, target).
    plan = {f'intra_{m}': ('intra', (m, 0), (m, 1), (0, width), 1.) for m in names if intra}
    for a, b in pairs:
        plan[f'common_{a}_{b}'] = ('common', (a, 0), (b, 0), (0, common_dim), 1.)
        plan[f'unique_{a}_{b}'] = ('unique', (a, 0), (b, 0), (common_dim, width), 0.)
    weights = _lambdas(lambd, plan)
    embeddings, present = gather_embeddings(embeddings, present, grad_reduce)
    terms, diagonals = evaluate(plan, weights, embeddings, present, form, eps)
    within = sum(terms[f'intra_{m}'] for m in names if intra)
    cross = sum(terms[f'{kind}_{a}_{b}'] for a, b in pairs for kind in ('common', 'unique'))
    total = within + cross if weighting == 'paper' else (within + cross / 2) / (len(names) + len(pairs))
    return dict(loss=total, **{f'loss_{name}': value for name, value in terms.items()}), diagonals, embeddings, present


def _lambdas(lambd: float | Mapping, plan: Mapping) -> dict:
    """The off-diagonal weight of every term."""
    if not isinstance(lambd, Mapping):
        lambd = {kind: lambd for kind in KINDS}
    unknown = [key for key in lambd if key not in plan and key not in KINDS]
    missing = [name for name, term in plan.items() if name not in lambd and term[0] not in lambd]
    if unknown or missing:
        raise ConfigError(f'lambd: unknown {unknown}, no value for {missing}. Give one number, or values for {KINDS} or for the terms '
                          f'{list(plan)}.')
    weights = {name: lambd.get(name, lambd.get(term[0])) for name, term in plan.items()}
    wrong = {name: value for name, value in weights.items() if not isinstance(value, int | float) or not value >= 0}
    if wrong:
        raise ConfigError(f'lambd must be numbers of at least 0, got {wrong}.')
    return weights


def evaluate(plan: Mapping, weights: Mapping, embeddings: Mapping, present: Mapping | None, form: str, eps: float) -> tuple:
    """Compute planned terms, each on the samples that have its modalities.

    Args:
        plan (dict[str, tuple]): ``(kind, (modality, view), (modality, view), (start, stop), target)`` by name.
        weights (dict[str, float]): Off-diagonal weight by name.
        embeddings (dict[str, tuple[Tensor]]): Gathered views ``(N, K)``.
        present (dict[str, Tensor] | None): ``(N,)`` bool.
        form (str): As in :func:`decur_loss`.
        eps (float): As in :func:`decur_loss`.

    Returns:
        tuple[dict, dict]: Scalars with gradient and diagonals ``(stop - start,)`` without, both by name, in the plan's order.
    """
    # Terms over the same samples share their standardised views. A group is (modalities whose samples count).
    groups = {}
    for name, (_, first, second, *_) in plan.items():
        key = frozenset() if present is None else frozenset((first[0], second[0]))
        groups.setdefault(key, []).append(name)
    values, diagonals = {}, {}
    for needed, members in groups.items():
        index = None
        if needed:
            index = torch.stack([present[name] for name in needed]).all(dim=0).nonzero()[:, 0]
            if len(index) < 2:
                for name in members:
                    (m, view), (start, stop) = plan[name][1], plan[name][3]
                    # 0 with a graph, so that backward always has something to run through, even of non-finite embeddings.
                    values[name] = embeddings[m][view][:0].sum()
                    diagonals[name] = values[name].new_zeros(stop - start)
                continue
        keys = list(dict.fromkeys(key for name in members for key in plan[name][1:3]))
        views = [embeddings[m][view] if index is None else embeddings[m][view][index] for m, view in keys]
        terms = [
            Term(keys.index(first), keys.index(second), start, stop, target, float(weights[name]))
            for name, (_, first, second, (start, stop), target) in ((name, plan[name]) for name in members)
        ]
        results, spectra = correlation_terms(views, terms, form, eps)
        values.update(zip(members, results.unbind()))
        diagonals.update(zip(members, spectra))
    return {name: values[name] for name in plan}, {name: diagonals[name].detach() for name in plan}


@MODELS.register_module()
class DeCURHead(ObjectiveHead):
    """:func:`decur_loss` as a head. The log shows the terms and their mean diagonals.

    Args:
        common_dim (int): Number of common dimensions.
        lambd (float | dict): See :func:`decur_loss`. Defaults to 0.0051.
        weighting (str): See :func:`decur_loss`. Defaults to ``'paper'``.
        intra (bool): See :func:`decur_loss`. Defaults to True.
        form (str): See :func:`decur_loss`. Defaults to ``'auto'``.
        eps (float): See :func:`decur_loss`. Defaults to 1e-5.
        **kwargs: As :class:`ObjectiveHead`.
    """

    num_views = 2

    def __init__(self,
                 common_dim: int,
                 lambd: float | Mapping = 0.0051,
                 weighting: str = 'paper',
                 intra: bool = True,
                 form: str = 'auto',
                 eps: float = 1e-5,
                 **kwargs):
        super().__init__(**kwargs)
        self.common_dim, self.lambd, self.weighting, self.intra, self.form, self.eps = common_dim, lambd, weighting, intra, form, eps

    def objective(self, embeddings: Mapping, present: Mapping | None) -> tuple:
        """See :class:`ObjectiveHead`."""
        out, diagonals, embeddings, present = _decur_loss(embeddings, self.common_dim, self.lambd, self.weighting, self.intra,
                                                          self.form, self.grad_reduce, present, self.eps)
        return out, mean_diagonals(diagonals), embeddings, present
