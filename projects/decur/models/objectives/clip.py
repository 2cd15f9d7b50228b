"""CLIP between modalities (Radford et al., 2021, arXiv 2103.00020)."""
import math
from collections.abc import Callable, Mapping

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError

from .objective import Batch, ObjectiveHead, evaluate, sum_over_pairs


def clip_loss(embeddings: Mapping,
              temperature: float | Tensor = 0.07,
              *,
              grad_reduce: str = 'exact',
              present: Mapping | None = None) -> dict:
    """Symmetric cross-entropy of every pair of modalities, between their first views.

    Every embedding is to find its sample among the N embeddings of the other modality, by cosine similarity divided by the temperature;
    the loss of a pair is the mean of both directions.

    Args:
        embeddings (dict[str, Sequence[Tensor]]): At least one view ``(N, K)`` by modality; the first is read.
        temperature (float | Tensor): Above 0; a 0-d tensor gets a gradient. Defaults to 0.07.
        grad_reduce, present: See :func:`~decur.models.decur_loss`. A temperature's gradient is that of the whole batch either way.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and ``loss_cross_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`; or if the temperature is not positive.
    """
    _check(temperature)
    return evaluate(lambda batch: sum_over_pairs(batch, cross_entropies(temperature)), embeddings, present, 1, grad_reduce)[0]


def _check(temperature: float | Tensor) -> None:
    if not temperature > 0:
        raise ConfigError(f'temperature must be above 0, got {temperature!r}.')


def cross_entropies(temperature: float | Tensor) -> Callable:
    """``(za, zb) -> (loss, )`` of two sets ``(N, K)``: each row is to find its own in the other set, both ways."""

    def both_directions(za: Tensor, zb: Tensor) -> tuple:
        logits = F.normalize(za, dim=1) @ F.normalize(zb, dim=1).T / temperature
        own = torch.arange(len(za), device=za.device)
        return ((F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2, )

    return both_directions


@MODELS.register_module()
class MultimodalCLIPHead(ObjectiveHead):
    """:func:`clip_loss` as a head, with CLIP's learned temperature, which the log shows.

    Args:
        temperature (float): At the start. Defaults to 0.07.
        learn_temperature (bool): Train the logarithm of its inverse, which is kept below log 100 as in CLIP. Defaults to True.
        **kwargs: As :class:`ObjectiveHead`.
    """

    def __init__(self, temperature: float = 0.07, learn_temperature: bool = True, **kwargs):
        super().__init__(**kwargs)
        _check(temperature)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learn_temperature)

    def objective(self, batch: Batch) -> tuple:
        """See :class:`ObjectiveHead`."""
        with torch.no_grad():
            self.logit_scale.clamp_(max=math.log(100))
        temperature = torch.exp(-self.logit_scale)
        total, terms, _ = sum_over_pairs(batch, cross_entropies(temperature))
        return total, terms, dict(temperature=temperature.detach())
