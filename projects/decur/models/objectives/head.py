"""What the heads of all objectives have in common: from embeddings to the loss and what the log shows."""
from collections.abc import Mapping

from mmengine.model import BaseModule
from torch import Tensor

from decur.errors import ConfigError

from .statistics import embedding_statistics


class ObjectiveHead(BaseModule):
    """Head of :class:`~decur.models.MultimodalPretraining`. A new objective is a pure function and a subclass with :meth:`objective`.

    Args:
        grad_reduce (str): ``'exact'`` or ``'published'``, see :func:`~decur.models.objectives.gather.gather_embeddings`. Defaults to
            ``'exact'``.
        statistics (bool): Log effective rank and spread of every modality's embeddings. Defaults to True.
        init_cfg (dict, optional): As in MMEngine.
    """

    #: How many views of each modality the objective reads.
    num_views = 1

    def __init__(self, grad_reduce: str = 'exact', statistics: bool = True, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.grad_reduce, self.statistics = grad_reduce, statistics

    def objective(self, embeddings: Mapping, present: Mapping | None) -> tuple:
        """The objective on the batch of all processes.

        Returns:
            tuple: The dict of scalars, ``loss`` and ``loss_<term>``; further values for the log; the gathered embeddings and masks.
        """
        raise NotImplementedError

    def loss(self, embeddings: Mapping, present: Mapping | None = None) -> dict:
        """The total to optimise and what the log shows.

        Args:
            embeddings (dict[str, tuple[Tensor, ...]]): ``num_views`` views ``(N, K)`` by modality.
            present (dict[str, Tensor], optional): ``(N,)`` bool by modality.

        Returns:
            dict[str, Tensor]: ``loss`` (with gradient) and, for the log only, the terms without the ``loss_`` before their names, what
            :meth:`objective` adds, and :func:`~decur.models.objectives.embedding_statistics`.
        """
        out, further, embeddings, present = self.objective(embeddings, present)
        logged = {name.removeprefix('loss_'): value.detach() for name, value in out.items() if name != 'loss'}
        logged.update(further)
        if self.statistics:
            logged.update(embedding_statistics(embeddings, present))
        return total_and_log(out['loss'], logged)


def mean_diagonals(diagonals: Mapping) -> dict:
    """``diag_<term>``: 1 where a term's dimensions are aligned, 0 where they are decorrelated. Terms without dimensions are left out."""
    return {f'diag_{name}': diagonal.mean() for name, diagonal in diagonals.items() if diagonal.numel()}


def total_and_log(total: Tensor, logged: Mapping) -> dict:
    """``loss`` and logged values, for MMEngine's ``parse_losses``, which adds up whatever has 'loss' in its name.

    Raises:
        ConfigError: If a logged name has (a modality is named so).
    """
    wrong = [name for name in logged if 'loss' in name]
    if wrong:
        raise ConfigError(f"the log would be added to the loss: rename the modality so that {wrong} has no 'loss' in its name.")
    return dict(loss=total, **logged)
