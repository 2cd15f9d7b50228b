"""The pretraining algorithm: encoders, projectors and an objective, for any number of named modalities.

DeCUR and its baselines are this one class with another ``head``. Reading order for a newcomer: this file, then
``objectives/decur.py``.
"""
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import nn

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
                ``present`` (``{name: bool}``); its rows are not encoded and its terms are masked.

        Returns:
            dict[str, Tensor]: Scalars; the one named ``loss`` is optimised.
        """
        present = self._present(inputs, data_samples)
        rows = self._rows(inputs, present)
        # Objectives that use one view per modality (SimCLR, CLIP, ...) say so; the second is not encoded then.
        count = getattr(self.head, 'num_views', 2)
        views = [self._encode_view({name: x[v] for name, x in inputs.items()}, rows) for v in range(count)]
        return self.head.loss({name: tuple(view[name] for view in views) for name in inputs}, present=present)

    def _rows(self, inputs: Mapping, present: Mapping | None) -> dict | None:
        """Which rows to encode, ``{name: (n,) indices}``, or None for all rows of all modalities.

        Batch norm cannot take a single row, and the objectives need two, so a modality that fewer than two samples of the batch of all
        processes have gets None. Where enough have it, a process may have one sample of it or none.
        """
        first = next(iter(inputs.values()))[0]
        if present is None and get_world_size() == 1:
            return None
        counts = [len(first) if present is None else int(present[name].sum()) for name in inputs]
        counts = torch.tensor([*counts, present is not None], dtype=torch.int64, device=first.device)
        all_reduce(counts)
        *counts, masked = counts.tolist()
        if not masked:
            return None
        if len(self.backbone.interactions):
            raise ConfigError('samples that lack a modality cannot be trained with interacting streams: each stream needs the others.')
        if get_world_size() > 1 and any(type(m) in (nn.BatchNorm1d, nn.BatchNorm2d) for m in self.modules()):
            raise ConfigError("samples that lack a modality need batch statistics over all processes: set sync_bn = 'torch'.")
        if present is None:
            present = {name: torch.ones(len(first), dtype=torch.bool, device=first.device) for name in inputs}
        return {name: present[name].nonzero(as_tuple=True)[0] if count > 1 else None for name, count in zip(inputs, counts)}

    def _encode_view(self, batch: Mapping, rows: Mapping | None) -> dict:
        """Embeddings ``{name: (N, K)}`` of one view of every modality; rows of absent samples are zero."""
        if rows is None:
            return self.extract_embeddings(batch)
        kept = {name: batch[name][index] for name, index in rows.items() if index is not None}
        encoded = self.extract_embeddings(kept) if kept else {}
        out = {}
        for name, x in batch.items():
            if name in encoded:
                z = encoded[name]
                out[name] = z.new_zeros(len(x), self.neck.out_channels).index_put((rows[name], ), z)
            else:
                # Zero, with a gradient of zero: every process's parameters must take part in DistributedDataParallel's reduction.
                parts = (self.backbone.streams[name], self.neck.projectors[name])
                nothing = sum(p.flatten()[:1].sum() * 0 for part in parts for p in part.parameters() if p.requires_grad)
                out[name] = x.new_zeros(len(x), self.neck.out_channels) + nothing
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

