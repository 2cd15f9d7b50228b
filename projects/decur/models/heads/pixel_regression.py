"""A number for every pixel: height, biomass, cover."""
from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError, DataError

from .multi_level_fcn import MultiLevelFCNHead


@MODELS.register_module()
class PixelRegressionHead(MultiLevelFCNHead):
    """:class:`MultiLevelFCNHead` with one output in the units of the target, for :class:`~decur.models.MultimodalPixelRegressor`.

    The loss is the smooth L1 distance (Huber, delta 1) of the standardized target, so that the learning rate does not depend on units.

    Args:
        target_mean (float): Mean of the training targets, in their units. Defaults to 0.
        target_std (float): Their standard deviation. Defaults to 1.
        **kwargs: As :class:`MultiLevelFCNHead`, without ``num_classes`` and ``loss_decode``.
    """

    def __init__(self, target_mean: float = 0., target_std: float = 1., **kwargs):
        if not target_std > 0:
            raise ConfigError(f'target_std must be above 0, got {target_std!r}.')
        super().__init__(**dict(dict(threshold=.5), **kwargs, num_classes=1, out_channels=1))
        self.target_mean, self.target_std = float(target_mean), float(target_std)

    def forward(self, inputs: tuple) -> Tensor:
        """Stage maps to ``(N, 1, H_0, W_0)``, in the units of the target."""
        return super().forward(inputs) * self.target_std + self.target_mean

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Sequence) -> dict:
        """Loss over the pixels that have a target (not NaN).

        Args:
            seg_logits (Tensor): ``(N, 1, h, w)``, in the units of the target.
            batch_data_samples (Sequence[SegDataSample]): With ``gt_depth_map`` ``(1, H, W)``.

        Raises:
            DataError: If a sample has no target map.
        """
        if missing := [sample for sample in batch_data_samples if 'gt_depth_map' not in sample]:
            raise DataError(f'sample {missing[0].get("img_path", "?")!r} has no target map: put LoadTargetMap into the pipeline.')
        target = torch.stack([sample.gt_depth_map.data for sample in batch_data_samples]).to(seg_logits)
        found = F.interpolate(seg_logits, target.shape[2:], mode='bilinear', align_corners=self.align_corners)
        known = torch.isfinite(target)
        error = torch.where(known, (found - torch.where(known, target, 0.)) / self.target_std, 0.)
        loss = F.smooth_l1_loss(error, torch.zeros_like(error), reduction='sum') / known.sum().clamp(min=1)
        return dict(loss_regression=loss)
