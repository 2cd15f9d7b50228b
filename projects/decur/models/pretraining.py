"""The pretraining algorithm: encoders, projectors and an objective, for any number of named modalities.

DeCUR and its baselines are this one class with another ``head``. The method is this file and ``objectives/decur.py``.
"""
from collections.abc import Mapping, Sequence

import torch
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor

from decur.errors import ConfigError

from .gradient_caching import cached_features, check_micro_batch
from .missing import extract_present_embeddings, present_masks, rows_to_encode
from .preprocessing import build_preprocessor


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
        init_cfg (dict, optional): As in MMEngine.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 data_preprocessor: dict | None = None,
                 micro_batch: int | None = None,
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
        count = getattr(self.head, 'num_views', 2)
        views = [extract_present_embeddings(self, {name: x[view] for name, x in inputs.items()}, rows) for view in range(count)]
        return self.head.loss({name: tuple(view[name] for view in views) for name in inputs}, present=present)

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
