"""Barlow Twins (Zbontar et al., 2021, arXiv 2103.03230) across modalities, DeCUR's baseline without unique dimensions, or within each."""
from collections.abc import Mapping
from itertools import combinations

from mmengine.registry import MODELS

from decur.errors import check_choice

from .decur import correlation_term, standardize, with_gram
from .objective import Batch, ObjectiveHead, evaluate
from .statistics import mean_diagonals


def barlow_twins_loss(embeddings: Mapping,
                      lambd: float = 0.0051,
                      *,
                      form: str = 'auto',
                      grad_reduce: str = 'exact',
                      present: Mapping | None = None,
                      eps: float = 1e-5) -> dict:
    r"""Sum over pairs of modalities of :math:`\sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \neq j} C_{ij}^2` between their first views.

    Args:
        embeddings (dict[str, Sequence[Tensor]]): At least one view ``(N, K)`` by modality; the first is read.
        lambd (float): Weight of the off-diagonal squares. Defaults to 0.0051.
        form, grad_reduce, present, eps: See :func:`~decur.models.decur_loss`.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and ``loss_cross_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`.
    """
    return evaluate(MultimodalBarlowTwinsHead(lambd, form, eps).objective, embeddings, present, 1, grad_reduce)[0]


@MODELS.register_module()
class MultimodalBarlowTwinsHead(ObjectiveHead):
    """:func:`barlow_twins_loss` as a head, with its options. The log shows the terms and the mean diagonals of their matrices C.

    Args:
        between (str): ``'modalities'``, or ``'views'``: the two views of every modality are compared, as Barlow Twins was published, and no
            modality with another. Every encoder is then trained as if it were alone. Defaults to ``'modalities'``.
        lambd, form, eps, **kwargs: As :func:`barlow_twins_loss` and :class:`ObjectiveHead`.

    Raises:
        ConfigError: If ``between`` is neither.
    """

    def __init__(self, lambd: float = 0.0051, form: str = 'auto', eps: float = 1e-5, between: str = 'modalities', **kwargs):
        super().__init__(**kwargs)
        check_choice('between', between, ('modalities', 'views'))
        self.lambd, self.form, self.eps, self.between = lambd, form, eps, between
        self.num_views = 2 if between == 'views' else 1

    def objective(self, batch: Batch) -> tuple:
        """See :class:`ObjectiveHead`."""
        if self.between == 'views':
            plan = {f'intra_{m}': ((m, 0), (m, 1)) for m in batch.views}
        else:
            plan = {f'cross_{a}_{b}': ((a, 0), (b, 0)) for a, b in combinations(batch.views, 2)}
        terms, diagonals = {}, {}
        for name, pair in plan.items():
            needed = tuple(dict.fromkeys(modality for modality, _ in pair))
            first, second = (with_gram(standardize(batch.rows(*view, needed), self.eps), self.form, batch.width) for view in pair)
            terms[name], diagonals[name] = correlation_term(first, second, 1., self.lambd)
        return sum(terms.values()), terms, mean_diagonals(diagonals)
