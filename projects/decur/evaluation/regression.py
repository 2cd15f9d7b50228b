"""Errors of predicted numbers, of scenes or of pixels."""
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from decur.errors import DataError


@METRICS.register_module()
class RegressionErrors(BaseMetric):
    """``MAE``, ``RMSE`` and ``bias`` in the units of the target, and ``R2``, over all numbers at once.

    Of pixels (``pred_depth_map`` and ``gt_depth_map``) those without a target (NaN) are left out; of scenes ``pred_score`` is compared with
    ``gt_score``. R2 is 1 less the share of the targets' variance that is left, each output about its own mean (scenes have several).
    """

    default_prefix = 'regression'

    def process(self, data_batch, data_samples: Sequence) -> None:
        """Sums over a batch, in float64.

        Raises:
            DataError: If a prediction is not finite or has another size than the target.
        """
        for sample in data_samples:
            maps = 'pred_depth_map' in sample
            found = sample['pred_depth_map']['data'] if maps else sample['pred_score']
            target = sample['gt_depth_map']['data'] if maps else sample['gt_score']
            found, target = (np.asarray(x.cpu(), np.float64) for x in (found, target))
            name = sample.get('sample_id', sample.get('img_path', '?'))
            if found.shape != target.shape:
                raise DataError(f'sample {name!r}: the prediction is {found.shape}, the target {target.shape}.')
            found, target = (x.reshape(1, -1) if maps else x.reshape(-1, 1) for x in (found, target))
            known = np.isfinite(target)
            if not np.isfinite(found[known]).all():
                raise DataError(f'sample {name!r}: a prediction is not finite.')
            error, target = np.where(known, found - np.where(known, target, 0), 0), np.where(known, target, 0)
            self.results.append(np.stack([known.sum(1), error.sum(1), np.abs(error).sum(1), (error**2).sum(1), target.sum(1),
                                          (target**2).sum(1)]))

    def compute_metrics(self, results: list) -> dict:
        """Figures of everything that was processed, by all processes.

        Raises:
            DataError: If no number has a target.
        """
        count, error, absolute, square, target, target_square = np.sum(results, axis=0)
        total = count.sum()
        if not total:
            raise DataError('no sample has a target: there is no figure without one.')
        variance = (target_square - target**2 / np.maximum(count, 1)).sum()
        return dict(MAE=float(absolute.sum() / total), RMSE=float(np.sqrt(square.sum() / total)), bias=float(error.sum() / total),
                    R2=float(1 - square.sum() / variance) if variance > 0 else float('nan'))
