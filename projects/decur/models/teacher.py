"""Targets from a moving average of the encoders and projectors, the teacher, for any objective.

Siamese methods compare a view with embeddings of a slower copy of the network (MoCo, arXiv 1911.05722; BYOL, arXiv 2006.07733). An
objective of several views has several such comparisons. Here each view in turn comes from the trained encoders and all others from the
teacher, without gradient; the gradients are added. While the teacher equals the trained encoders, this is the gradient of the plain
objective: the derivative of a function of several views is the sum of its derivatives by one of them.
"""
from collections.abc import Mapping

import torch
from mmengine.model import BaseAveragedModel, BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError


class Embedder(BaseModule):
    """Encoders and projectors as one module: what the teacher is a copy of."""

    def __init__(self, backbone: nn.Module, neck: nn.Module):
        super().__init__()
        self.backbone, self.neck = backbone, neck

    def extract_embeddings(self, inputs: Mapping) -> dict:
        """Projector outputs ``{name: (N, K)}`` of ``{name: (N, C, H, W)}``."""
        return self.neck(self.backbone.features(inputs))


def build_teacher(cfg: Mapping | None, backbone: nn.Module, neck: nn.Module | None) -> nn.Module | None:
    """The moving average that a config describes.

    Args:
        cfg (dict | None): An averaged model of MMEngine or MMPretrain: ``dict(type='ExponentialMovingAverage', momentum=0.01)``,
            ``dict(type='mmpretrain.CosineEMA', momentum=0.01)``. None for no teacher.
        backbone (MultimodalBackbone), neck (MultimodalProjector): What is averaged.

    Returns:
        nn.Module | None: With ``module``, an :class:`Embedder`, and ``update_parameters(embedder)``.

    Raises:
        ConfigError: If there is no projector, or the type does not average.
    """
    if cfg is None:
        return None
    if neck is None:
        raise ConfigError('a teacher gives targets for embeddings: the model needs a neck.')
    kind = MODELS.get(cfg.get('type', ''))
    if kind is None or not issubclass(kind, BaseAveragedModel):
        raise ConfigError(f"teacher must be an averaged model, such as dict(type='ExponentialMovingAverage'), got {dict(cfg)}.")
    return MODELS.build(dict(cfg), default_args=dict(model=Embedder(backbone, neck)))


def loss_with_teacher(head: nn.Module, student: Mapping, teacher: Mapping, present: Mapping | None = None) -> dict:
    """An objective whose targets come from a teacher.

    Args:
        head (ObjectiveHead): The objective.
        student (dict[str, tuple[Tensor]]): Views ``(N, K)`` by modality, with gradient.
        teacher (dict[str, tuple[Tensor]]): The same views, embedded by the teacher, without gradient.
        present (dict[str, Tensor], optional): ``(N,)`` bool by modality.

    Returns:
        dict[str, Tensor]: As ``head.loss``: each value is the mean over the views of what the objective is with this view alone from the
        student; the gradient of ``loss`` is the sum of theirs.
    """
    parts = []
    for modality, views in student.items():
        for number, z in enumerate(views):
            mixed = dict(teacher)
            mixed[modality] = (*teacher[modality][:number], z, *teacher[modality][number + 1:])
            parts.append(head.loss(mixed, present=present))
    means = {name: torch.stack([_scalar(part[name]) for part in parts]).mean() for name in parts[0]}
    total = sum(part['loss'] for part in parts)
    return dict(means, loss=total - total.detach() + means['loss'])


def _scalar(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value).detach()
