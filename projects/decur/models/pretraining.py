"""The pretraining algorithm: encoders, projectors and an objective, for any number of named modalities.

DeCUR and its baselines are this one class with another ``head``. Reading order for a newcomer: this file, then
``objectives/decur.py``.
"""
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import get_world_size
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor

from decur.errors import ConfigError


@MODELS.register_module()
class MultimodalPretraining(BaseSelfSupervisor):
    """Self-supervised pretraining on co-located modalities (Algorithm 1 with :class:`DeCURHead`).

    Args:
        backbone (dict): A :class:`MultimodalBackbone` config without fusion.
        neck (dict): A :class:`MultimodalProjector` config; its ``in_channels`` are taken from the backbone.
        head (dict): The objective: a module with ``loss(embeddings, present)``.
        data_preprocessor (dict, optional): Defaults to a :class:`MultimodalDataPreprocessor` of the backbone's modalities.
        init_cfg (dict, optional): As in MMEngine.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict | None = None,
                 head: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None):
        backbone = MODELS.build(backbone) if isinstance(backbone, Mapping) else backbone
        if backbone.fusion is not None:
            raise ConfigError('pretraining needs the features of each modality: remove fusion from the backbone.')
        if isinstance(neck, Mapping):
            neck = MODELS.build(neck, default_args=dict(in_channels=backbone.feature_dims))
        if data_preprocessor is None or isinstance(data_preprocessor, Mapping):
            cfg = dict(data_preprocessor or {})
            cfg.setdefault('type', 'MultimodalDataPreprocessor')
            cfg.setdefault('modalities', backbone.modalities)
            data_preprocessor = MODELS.build(cfg)
        super().__init__(backbone=backbone, neck=neck, head=head, data_preprocessor=data_preprocessor, init_cfg=init_cfg)

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
        if not isinstance(inputs, Mapping):
            raise ConfigError(f'inputs must be a dict of tensors by modality {list(self.modalities)}, got {type(inputs).__name__}.')
        return self.backbone.features(inputs)

    def extract_embeddings(self, inputs: Mapping) -> dict:
        """Projector outputs ``{name: (N, K)}``, not standardised, of ``{name: (N, C, H, W)}``."""
        return self.neck(self.extract_feat(inputs))

    def loss(self, inputs: Mapping, data_samples: Sequence | None = None, **kwargs) -> dict:
        """The objective on a batch of two views per modality.

        Args:
            inputs (dict[str, Sequence[Tensor]]): ``[view1, view2]``, each ``(N, C, H, W)``, by modality.
            data_samples (Sequence[DataSample], optional): A sample that lacks a modality says so in
                ``present`` (``{name: bool}``); its rows are not encoded (but see :meth:`_encode_view`) and its terms are masked.

        Returns:
            dict[str, Tensor]: Scalars; the one named ``loss`` is optimised.
        """
        present = self._present(inputs, data_samples)
        # Objectives that use one view per modality (SimCLR, CLIP, ...) say so; the second is not encoded then.
        count = getattr(self.head, 'num_views', 2)
        views = [self._encode_view({name: x[v] for name, x in inputs.items()}, present) for v in range(count)]
        return self.head.loss({name: tuple(view[name] for view in views) for name in inputs}, present=present)

    def _encode_view(self, batch: Mapping, present: Mapping | None) -> dict:
        """Embeddings ``{name: (N, K)}`` of one view of every modality; rows of absent samples are zero.

        Batch norm cannot take a single row, and the objectives need two, so a modality with fewer than two samples is not encoded.
        Several processes must all run the same layers, so there the first two rows are encoded whatever they hold and count as little as
        any absent row.
        """
        if present is None:
            return self.extract_embeddings(batch)
        if len(self.backbone.interactions):
            raise ConfigError('samples that lack a modality cannot be trained with interacting streams: each stream needs the others.')
        rows = {name: present[name].nonzero(as_tuple=True)[0] for name in batch}
        if get_world_size() > 1:
            rows = {name: index if len(index) > 1 else torch.arange(2, device=index.device) for name, index in rows.items()}
        rows = {name: index for name, index in rows.items() if len(index) > 1}
        encoded = self.extract_embeddings({name: batch[name][index] for name, index in rows.items()})
        out = {}
        for name, x in batch.items():
            z = encoded.get(name)
            out[name] = x.new_zeros((len(x), self.neck.out_channels), dtype=torch.float32 if z is None else z.dtype)
            if z is not None:
                out[name] = out[name].index_put((rows[name], ), z)
        return out

    @staticmethod
    def _present(inputs: Mapping, data_samples: Sequence | None) -> dict | None:
        """``{name: (N,) bool}``, or None where no sample lacks anything."""
        if not data_samples or not any(getattr(s, 'present', None) is not None for s in data_samples):
            return None
        first = next(iter(inputs.values()))[0]
        masks = {
            name: torch.tensor([bool((getattr(s, 'present', None) or {}).get(name, True)) for s in data_samples], device=first.device)
            for name in inputs
        }
        return masks

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

