"""The pretraining algorithm: encoders, projectors and an objective, for any number of named modalities.

DeCUR and its baselines are this one class with another ``head``. The method is this file and ``objectives/decur.py``.
"""
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import ModuleList
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn

from decur.errors import ConfigError

from .auxiliary import View, add_auxiliary, build_auxiliary_heads
from .gradient_caching import cached_features, check_micro_batch
from .missing import extract_present_embeddings, present_masks, rows_to_encode
from .preprocessing import build_preprocessor
from .teacher import Embedder, build_teacher, loss_with_teacher


@MODELS.register_module()
class MultimodalPretraining(BaseSelfSupervisor):
    """Self-supervised pretraining on co-located modalities (Algorithm 1 with :class:`DeCURHead`).

    Args:
        backbone (dict): A :class:`MultimodalBackbone` config without fusion.
        neck (dict): A :class:`MultimodalProjector` config; its ``in_channels`` are taken from the backbone.
        head (dict): The objective: a module with ``loss(embeddings, present)``.
        data_preprocessor (dict, optional): Defaults to a :class:`MultimodalDataPreprocessor` of the backbone's modalities.
        micro_batch (int, optional): In training encode at most so many samples at a time, with the loss over all of the batch
            (:mod:`~decur.models.gradient_caching`): the memory of a small batch, the gradient of a large one. Defaults to None.
        teacher (dict, optional): A moving average of encoders and projectors that gives the targets (:mod:`~decur.models.teacher`), such as
            ``dict(type='ExponentialMovingAverage', momentum=0.01)``. Not together with ``micro_batch``. Defaults to None.
        auxiliary_heads (Sequence[dict]): Further heads on images, maps and embeddings (:mod:`~decur.models.auxiliary`). Not together with
            ``micro_batch``. Defaults to none.
        init_cfg (dict, optional): As in MMEngine.

    Raises:
        ConfigError: If the backbone fuses, or an option is not valid.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 data_preprocessor: dict | None = None,
                 micro_batch: int | None = None,
                 teacher: dict | None = None,
                 auxiliary_heads: Sequence = (),
                 init_cfg: dict | None = None):
        backbone = MODELS.build(backbone) if isinstance(backbone, Mapping) else backbone
        if backbone.fusion is not None:
            raise ConfigError('pretraining needs the features of each modality: remove fusion from the backbone.')
        if isinstance(neck, Mapping):
            neck = MODELS.build(neck, default_args=dict(in_channels=backbone.feature_dims))
        super().__init__(backbone=backbone, neck=neck, head=head, init_cfg=init_cfg,
                         data_preprocessor=build_preprocessor(data_preprocessor, backbone.modalities))
        self.micro_batch = check_micro_batch(micro_batch)
        self.data_preprocessor.deferred = micro_batch is not None
        for name, option in dict(teacher=teacher, auxiliary_heads=auxiliary_heads).items():
            if micro_batch is not None and option:
                raise ConfigError(f'micro_batch and {name} do not go together: remove one of the two.')
        self.teacher = build_teacher(teacher, self.backbone, self.neck if self.with_neck else None)
        self.auxiliary_heads = ModuleList(build_auxiliary_heads(auxiliary_heads, self.backbone, self.neck if self.with_neck else None))

    @property
    def modalities(self) -> dict:
        """The modality entries, in order."""
        return self.backbone.modalities

    def extract_feat(self, inputs: Mapping) -> dict:
        """Encoder features.

        Args:
            inputs (dict[str, Tensor]): Normalised ``(N, C, H, W)`` float tensors of any subset of the modalities.

        Returns:
            dict[str, Tensor]: ``(N, F)`` by modality.
        """
        return self.backbone.features(inputs)

    def extract_embeddings(self, inputs: Mapping) -> dict:
        """Projector outputs ``{name: (N, K)}``, not standardised, of ``{name: (N, C, H, W)}``."""
        cached = self.micro_batch and self.training and torch.is_grad_enabled()
        return self.neck(cached_features(self.backbone, inputs, self.micro_batch) if cached else self.extract_feat(inputs))

    def loss(self, inputs: Mapping, data_samples: Sequence | None = None, **kwargs) -> dict:
        """The objective on a batch of two views per modality.

        Args:
            inputs (dict[str, Sequence[Tensor]]): ``[view1, view2]``, each ``(N, C, H, W)``, by modality.
            data_samples (Sequence[DataSample], optional): A sample that lacks a modality says so in ``present`` (``{name: bool}``); its
                rows are not encoded, and no term is computed on them.

        Returns:
            dict[str, Tensor]: Scalars; the one named ``loss`` is optimised.
        """
        first = next(iter(inputs.values()))[0]
        present = present_masks(list(inputs), data_samples, first.device)
        rows = rows_to_encode(self, list(inputs), len(first), present, first.device)
        # An objective that reads one view of a modality (SimCLR, CLIP, ...) says so; the second is not encoded then.
        counts = [getattr(self.head, 'num_views', 2), *(head.num_views for head in self.auxiliary_heads)]
        views = [{name: x[view] for name, x in inputs.items()} for view in range(max(counts))]
        maps = [] if any(head.needs_maps for head in self.auxiliary_heads) else None
        student = self._embed(self, views, rows, maps)
        if self.teacher is None:
            out = self.head.loss(student, present=present)
        else:
            with torch.no_grad():
                self.teacher.update_parameters(Embedder(self.backbone, self.neck))
                targets = self._embed(self.teacher.module, views, rows)
            out = loss_with_teacher(self.head, {name: z[:counts[0]] for name, z in student.items()}, targets, present)
        if not self.auxiliary_heads:
            return out
        encoded = [View(view, None if maps is None else maps[i], {name: z[i] for name, z in student.items()})
                   for i, view in enumerate(views)]
        return add_auxiliary(out, self.auxiliary_heads, encoded, self.head, present, data_samples)

    @staticmethod
    def _embed(model: nn.Module, views: Sequence, rows: Mapping | None, maps: list | None = None) -> dict:
        """``{name: (view 1, view 2, ...)}``, each ``(N, K)``, of views ``{name: (N, C, H, W)}``; stage maps go to ``maps``, if given."""
        if maps is None:
            found = [extract_present_embeddings(model, view, rows) for view in views]
        elif rows is not None:
            raise ConfigError('heads on maps need samples that have all modalities: leave out the others, or these auxiliary_heads.')
        else:
            found = []
            for view in views:
                features, stages = model.backbone.features_and_maps(view)
                found.append(model.neck(features))
                maps.append(stages)
        return {name: tuple(one[name] for one in found) for name in views[0]}

    def forward(self, inputs: Mapping, data_samples: Sequence | None = None, mode: str = 'tensor'):
        """As mmpretrain's self-supervised models, with inputs by modality.

        Args:
            inputs (dict): ``{name: (N, C, H, W)}`` for ``tensor``; ``{name: [view1, view2]}`` for ``loss``.
            data_samples (Sequence[DataSample], optional): See :meth:`loss`.
            mode (str): ``'tensor'`` for features by modality, ``'loss'`` for the dict of losses.

        Returns:
            dict[str, Tensor]: ``{name: (N, F)}`` or scalars.
        """
        if mode == 'tensor':
            return self.extract_feat(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        raise RuntimeError(f"Invalid mode '{mode}': use 'tensor' or 'loss'.")
