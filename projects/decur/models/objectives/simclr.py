"""SimCLR across modalities (Chen et al., 2020, arXiv 2002.05709): the positive of a sample is the same sample in another modality."""
from collections.abc import Mapping

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError

from .objective import Batch, ObjectiveHead, evaluate, sum_over_pairs


def simclr_loss(embeddings: Mapping,
                temperature: float = 0.1,
                *,
                grad_reduce: str = 'exact',
                present: Mapping | None = None) -> dict:
    """NT-Xent over the 2N cross-modal embeddings of every pair of modalities, between their first views.

    Every embedding is to find its sample's other modality among the 2N - 1 others, by cosine similarity divided by the temperature. The
    loss of a pair is the mean over its 2N embeddings.

    Args:
        embeddings (dict[str, Sequence[Tensor]]): At least one view ``(N, K)`` by modality; the first is read.
        temperature (float): Above 0. Defaults to 0.1.
        grad_reduce, present: See :func:`~decur.models.decur_loss`.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and ``loss_cross_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`; or if the temperature is not positive.
    """
    return evaluate(MultimodalSimCLRHead(temperature).objective, embeddings, present, 1, grad_reduce)[0]


@MODELS.register_module()
class MultimodalSimCLRHead(ObjectiveHead):
    """:func:`simclr_loss` as a head, with its options."""

    def __init__(self, temperature: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ConfigError(f'temperature must be above 0, got {temperature!r}.')
        self.temperature = temperature

    def objective(self, batch: Batch) -> tuple:
        """See :class:`ObjectiveHead`."""
        return sum_over_pairs(batch, lambda za, zb: (nt_xent(za, zb, self.temperature), ))


def nt_xent(za: Tensor, zb: Tensor, temperature: float) -> Tensor:
    """NT-Xent of two sets ``(N, K)`` whose rows belong together: a scalar."""
    n = len(za)
    z = F.normalize(torch.cat([za, zb]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(float('-inf'))
    positive = torch.arange(2 * n, device=z.device).roll(n)  # of row i it is row i + N, and the other way round
    return F.cross_entropy(logits, positive)
