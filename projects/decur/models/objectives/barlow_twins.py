"""Barlow Twins across modalities (Zbontar et al., 2021, arXiv 2103.03230): DeCUR's baseline without unique dimensions."""
from collections.abc import Mapping
from itertools import combinations

from mmengine.registry import MODELS

from .decur import evaluate
from .gather import check_embeddings, gather_embeddings
from .head import ObjectiveHead, mean_diagonals


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
        form (str): See :func:`~decur.models.decur_loss`, as the other options.
        grad_reduce (str): Defaults to ``'exact'``.
        present (dict[str, Tensor], optional): ``(N,)`` bool by modality. A pair is related on the samples that have both.
        eps (float): Defaults to 1e-5.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and ``loss_cross_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`.
    """
    return _barlow_twins_loss(embeddings, lambd, form, grad_reduce, present, eps)[0]


def _barlow_twins_loss(embeddings, lambd, form, grad_reduce, present, eps) -> tuple:
    embeddings, present = check_embeddings(embeddings, present, views=1)
    width = next(iter(embeddings.values()))[0].shape[1]
    plan = {f'cross_{a}_{b}': ('cross', (a, 0), (b, 0), (0, width), 1.) for a, b in combinations(embeddings, 2)}
    embeddings, present = gather_embeddings(embeddings, present, grad_reduce)
    terms, diagonals = evaluate(plan, dict.fromkeys(plan, lambd), embeddings, present, form, eps)
    return dict(loss=sum(terms.values()), **{f'loss_{name}': x for name, x in terms.items()}), diagonals, embeddings, present


@MODELS.register_module()
class MultimodalBarlowTwinsHead(ObjectiveHead):
    """:func:`barlow_twins_loss` as a head. The log shows the terms and their mean diagonals.

    Args:
        lambd (float): Defaults to 0.0051.
        form (str): Defaults to ``'auto'``.
        eps (float): Defaults to 1e-5.
        **kwargs: As :class:`ObjectiveHead`.
    """

    def __init__(self, lambd: float = 0.0051, form: str = 'auto', eps: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        self.lambd, self.form, self.eps = lambd, form, eps

    def objective(self, embeddings: Mapping, present: Mapping | None) -> tuple:
        """See :class:`ObjectiveHead`."""
        out, diagonals, embeddings, present = _barlow_twins_loss(embeddings, self.lambd, self.form, self.grad_reduce, present, self.eps)
        return out, mean_diagonals(diagonals), embeddings, present
