"""What all objectives share: run on the batch of all processes, as a function or as a head that logs what it computes."""
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch
from mmengine.model import BaseModule, ModuleList
from mmengine.registry import MODELS

from decur.errors import ConfigError

from .batch import Batch, gather_batch
from .statistics import embedding_statistics


def evaluate(objective: Callable, embeddings: Mapping, present: Mapping | None, num_views: int, grad_reduce: str) -> tuple:
    """Compute an objective on the batch of all processes, in float32 (float64 for float64 embeddings) with autocast off.

    Args:
        objective (Callable): ``Batch -> (total, terms, logged)``: the scalar to optimise, scalars with gradient and scalars for the log,
            the latter two by name.
        embeddings, present, num_views, grad_reduce: See :func:`~decur.models.objectives.batch.gather_batch`.

    Returns:
        tuple[dict, dict, Batch]: ``loss`` and ``loss_<term>``; the logged scalars; the gathered batch.

    Raises:
        ConfigError, DataError: See :func:`~decur.models.objectives.batch.gather_batch`.
    """
    batch = gather_batch(embeddings, present, num_views, grad_reduce)
    device = next(iter(batch.views.values()))[0].device
    with torch.autocast(device.type, enabled=False):
        total, terms, logged = objective(batch)
    return dict(loss=total, **{f'loss_{name}': value for name, value in terms.items()}), logged, batch


def sum_over_pairs(batch: Batch, function: Callable, names: tuple = ('cross', )) -> tuple:
    """Apply a loss to the first views of every pair of modalities, on the samples that have both.

    Args:
        batch (Batch): Embeddings.
        function (Callable): ``(za, zb) -> tuple of scalars`` of two ``(n, K)`` tensors, n at least 2; one scalar for each of ``names``.
        names (tuple[str]): What the scalars are called.

    Returns:
        tuple: As an objective: the sum of all terms, the terms by ``<name>_<a>_<b>``, and nothing for the log. With fewer than 2
        samples that have both modalities a term is 0 and has no gradient.
    """
    terms = {}
    for a, b in combinations(batch.views, 2):
        za, zb = batch.rows(a, 0, (a, b)), batch.rows(b, 0, (a, b))
        values = function(za, zb) if len(za) else [za.sum() + zb.sum()] * len(names)  # 0 with a graph, so that backward can run
        terms.update({f'{name}_{a}_{b}': value for name, value in zip(names, values)})
    return sum(terms.values()), terms, {}


class ObjectiveHead(BaseModule):
    """Head of :class:`~decur.models.MultimodalPretraining`. A new objective is a subclass that implements :meth:`objective`.

    Args:
        grad_reduce (str): ``'exact'`` or ``'published'``, see :func:`~decur.models.objectives.batch.gather_batch`. Defaults to
            ``'exact'``.
        statistics (bool): Log :func:`~decur.models.objectives.embedding_statistics` of every modality. Defaults to True.
        extra (Sequence[dict]): Further terms, configs of :class:`~decur.models.objectives.ExtraTerm`. Defaults to none.
        init_cfg (dict, optional): As in MMEngine.
    """

    #: How many views of each modality the objective reads.
    num_views = 1

    def __init__(self, grad_reduce: str = 'exact', statistics: bool = True, extra: Sequence = (), init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.grad_reduce, self.statistics = grad_reduce, statistics
        self.extra = ModuleList(MODELS.build(dict(term)) for term in extra)

    def objective(self, batch: Batch) -> tuple:
        """``(total, terms, logged)`` of a batch, see :func:`evaluate`."""
        raise NotImplementedError

    def _with_extra(self, batch: Batch) -> tuple:
        total, terms, logged = self.objective(batch)
        for term in self.extra:
            further = term(batch, self)
            terms.update(further)
            total = total + term.factor(batch) * sum(further.values())
        return total, terms, logged

    def loss(self, embeddings: Mapping, present: Mapping | None = None) -> dict:
        """The total to optimise and what the log shows.

        Args:
            embeddings (dict[str, tuple[Tensor, ...]]): ``num_views`` views ``(N, K)`` by modality.
            present (dict[str, Tensor], optional): ``(N,)`` bool by modality: which samples have it.

        Returns:
            dict[str, Tensor]: ``loss`` (with gradient) and, for the log only, the terms by their names, the objective's further values
            and the statistics of the embeddings.

        Raises:
            ConfigError: If a logged name has 'loss' in it (a modality is named so): MMEngine would add it to the loss.
        """
        out, logged, batch = evaluate(self._with_extra, embeddings, present, self.num_views, self.grad_reduce)
        logged = {**{name.removeprefix('loss_'): value.detach() for name, value in out.items() if name != 'loss'}, **logged}
        if self.statistics:
            logged.update(embedding_statistics(batch.views, batch.present))
        wrong = [name for name in logged if 'loss' in name]
        if wrong:
            raise ConfigError(f"the log would be added to the loss: rename the modality so that {wrong} has no 'loss' in its name.")
        # A parameter of the head must take part in every backward pass, or DistributedDataParallel waits for it.
        return dict(loss=sum((p.sum() * 0 for p in self.parameters()), out['loss']), **logged)
