"""SimCLR across modalities (Chen et al., 2020, arXiv 2002.05709): the positive of a sample is the same sample in another modality."""
from collections.abc import Mapping

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError

from .head import ObjectiveHead
from .pairs import gather_first_views, over_pairs, total_of


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
        grad_reduce (str): See :func:`~decur.models.decur_loss`. Defaults to ``'exact'``.
        present (dict[str, Tensor], optional): ``(N,)`` bool by modality. A pair is related on the samples that have both.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and ``loss_cross_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`; or if the temperature is not positive.
    """
    return _simclr_loss(embeddings, temperature, grad_reduce, present)[0]


def _simclr_loss(embeddings, temperature, grad_reduce, present) -> tuple:
    if not temperature > 0:
        raise ConfigError(f'temperature must be above 0, got {temperature!r}.')
    embeddings, present = gather_first_views(embeddings, present, grad_reduce)

    def pair(za: Tensor, zb: Tensor) -> dict:
        rows = len(za)
        z = F.normalize(torch.cat([za, zb]), dim=1)
        logits = (z @ z.T / temperature).fill_diagonal_(float('-inf'))
        # Row i's positive is row i + N, and the other way round.
        positive = torch.arange(2 * rows, device=z.device).roll(rows)
        return dict(cross=F.cross_entropy(logits, positive))

    return total_of(over_pairs(embeddings, present, pair)), embeddings, present


@MODELS.register_module()
class MultimodalSimCLRHead(ObjectiveHead):
    """:func:`simclr_loss` as a head.

    Args:
        temperature (float): Defaults to 0.1.
        **kwargs: As :class:`ObjectiveHead`.
    """

    def __init__(self, temperature: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature

    def objective(self, embeddings: Mapping, present: Mapping | None) -> tuple:
        """See :class:`ObjectiveHead`."""
        out, embeddings, present = _simclr_loss(embeddings, self.temperature, self.grad_reduce, present)
        return out, {}, embeddings, present
