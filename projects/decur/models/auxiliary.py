"""Further heads of the pretraining model, on more than its embeddings: ``model = dict(auxiliary_heads=[dict(type='CompletenessHead')])``.

A term of embeddings alone is an :class:`~decur.models.objectives.ExtraTerm` of the objective. What needs the images or the encoders' maps
is a head here; :mod:`~decur.models.completeness` and :mod:`~decur.models.dense` are two.
"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from decur.errors import ConfigError


class View(NamedTuple):
    """One view of all modalities, as it was encoded.

    Attributes:
        images (dict[str, Tensor]): Normalised ``(N, C, H, W)``.
        maps (dict[str, tuple[Tensor]] | None): Every stage's map ``(N, C_i, H_i, W_i)``; None where no head asked for maps.
        embeddings (dict[str, Tensor]): Projector outputs ``(N, K)``.
    """

    images: Mapping
    maps: Mapping | None
    embeddings: Mapping


class AuxiliaryHead(BaseModule):
    """A further head; a subclass implements :meth:`loss`, and takes ``backbone`` and ``neck`` in its constructor to read their sizes.

    Args:
        weight (float): What the sum of its terms is multiplied by in the total; the log shows the terms without it.

    Raises:
        ConfigError: If the weight is negative or no number.
    """

    #: Views that it reads, and whether it reads maps.
    num_views = 1
    needs_maps = False

    def __init__(self, weight: float, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise ConfigError(f'the weight of {type(self).__name__} must be a number of at least 0, got {weight!r}.')
        self.weight = weight

    def loss(self, views: Sequence[View], objective: nn.Module, present: Mapping | None, data_samples: Sequence | None) -> dict:
        """Its terms.

        Args:
            views (Sequence[View]): At least :attr:`num_views`.
            objective (ObjectiveHead): The model's head.
            present (dict[str, Tensor] | None): ``(N,)`` bool by modality: which samples have it. None: all.
            data_samples (Sequence[DataSample] | None): Of the batch.

        Returns:
            dict[str, Tensor]: Scalars with gradient by name, without 'loss' in the name. As with an objective, the gradient that
            DistributedDataParallel's average leaves is that of one process on the batch of all.
        """
        raise NotImplementedError


def build_auxiliary_heads(cfgs: Sequence, backbone: nn.Module, neck: nn.Module | None) -> list:
    """The heads that a config describes.

    Args:
        cfgs (Sequence[dict]): Their configs.
        backbone (MultimodalBackbone), neck (MultimodalProjector): Whose outputs they get.

    Raises:
        ConfigError: If there is no projector, or a type is no auxiliary head.
    """
    if cfgs and neck is None:
        raise ConfigError('auxiliary_heads work beside embeddings: the model needs a neck.')
    heads = [MODELS.build(dict(cfg), default_args=dict(backbone=backbone, neck=neck)) for cfg in cfgs]
    for head in heads:
        if not isinstance(head, AuxiliaryHead):
            raise ConfigError(f'auxiliary_heads: {type(head).__name__} is none, such as CompletenessHead. A term of embeddings alone goes '
                              'to head.extra.')
    return heads


def add_auxiliary(out: Mapping, heads: Sequence, views: Sequence[View], objective: nn.Module, present: Mapping | None,
                  data_samples: Sequence | None) -> dict:
    """What the objective gives, with the terms of the heads added to ``loss`` and to the log."""
    out, total = dict(out), out['loss']
    for head in heads:
        terms = head.loss(views, objective, present, data_samples)
        total = total + head.weight * sum(terms.values()) + sum(p.sum() * 0 for p in head.parameters())
        out.update({name: value.detach() for name, value in terms.items()})
    return dict(out, loss=total)
