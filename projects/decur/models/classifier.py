"""Scene classification from one or several frozen or fine-tuned encoders (supplement B.2)."""
from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS
from mmpretrain.models.classifiers import BaseClassifier

from decur.errors import ConfigError

from .missing import present_masks
from .preprocessing import build_preprocessor


@MODELS.register_module()
class MultimodalClassifier(BaseClassifier):
    """The encoders of a :class:`MultimodalBackbone`, whose pooled features one head takes.

    Single modality and late fusion differ only in the number of entries. A modality may be missing at inference (left out of ``inputs``,
    or marked in ``data_sample.present``); the head replaces its features.

    Args:
        backbone (dict): A :class:`MultimodalBackbone` config without fusion; ``pretrained`` and ``frozen`` make the protocol.
        head (dict): A head config, for example :class:`LateFusionHead`; built with ``in_channels={name: F}``.
        data_preprocessor (dict, optional): Defaults to a :class:`MultimodalDataPreprocessor` of the backbone's modalities.
        init_cfg (dict, optional): As in MMEngine.
    """

    def __init__(self, backbone: dict, head: dict, data_preprocessor: dict | None = None, init_cfg: dict | None = None):
        backbone = MODELS.build(backbone) if isinstance(backbone, Mapping) else backbone
        if backbone.fusion is not None:
            raise ConfigError('late fusion takes the features of each modality: remove fusion from the backbone.')
        super().__init__(init_cfg=init_cfg, data_preprocessor=build_preprocessor(data_preprocessor, backbone.modalities))
        self.backbone = backbone
        self.head = MODELS.build(head, default_args=dict(in_channels=backbone.feature_dims)) if isinstance(head, Mapping) else head

    def extract_feat(self, inputs: Mapping) -> dict:
        """Pooled features ``{name: (N, F)}`` of normalised ``{name: (N, C, H, W)}``."""
        return self.backbone.features(inputs)

    def forward(self, inputs: Mapping, data_samples: Sequence | None = None, mode: str = 'tensor'):
        """As mmpretrain's classifiers, with inputs by modality.

        Args:
            inputs (dict[str, Tensor]): ``{name: (N, C, H, W)}``.
            data_samples (Sequence[DataSample], optional): Ground truth in ``gt_score``.
            mode (str): ``'tensor'`` for logits ``(N, classes)``, ``'loss'``, or ``'predict'`` for data samples with ``pred_score``.
        """
        if mode not in ('tensor', 'loss', 'predict'):
            raise RuntimeError(f"Invalid mode '{mode}': use 'tensor', 'loss' or 'predict'.")
        features = self.extract_feat(inputs)
        present = present_masks(list(features), data_samples, next(iter(features.values())).device)
        if mode == 'tensor':
            return self.head(features, present)
        return getattr(self.head, mode)(features, data_samples, present)

    def loss(self, inputs: Mapping, data_samples: Sequence) -> dict:
        """Losses by name."""
        return self(inputs, data_samples, mode='loss')

    def predict(self, inputs: Mapping, data_samples: Sequence | None = None) -> list:
        """Data samples with ``pred_score`` and ``pred_label``."""
        return self(inputs, data_samples, mode='predict')
