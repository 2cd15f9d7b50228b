"""Multi-label metrics over the whole set."""
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from decur.errors import DataError
from decur.modalities import check_finite_rows


@METRICS.register_module()
class MultiLabelScores(BaseMetric):
    """Average precision and F1, micro and macro, in percent, over the whole set at once (not averaged over batches).

    ``mAP_micro`` is the paper's figure: the average precision of all (sample, class) pairs ranked together; ``mAP_macro`` is the mean over
    the classes. Classes without a positive sample are left out of the macro figures and counted in ``classes_left_out``. F1 is taken at
    ``threshold``.

    Args:
        threshold (float): Probability from which a label counts as predicted. Defaults to 0.5.
        **kwargs: As MMEngine's ``BaseMetric``.
    """

    default_prefix = 'multi-label'

    def __init__(self, threshold: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold

    def process(self, data_batch, data_samples: Sequence) -> None:
        """Keep scores and labels of a batch.

        Raises:
            DataError: If a score is not finite.
        """
        for sample in data_samples:
            scores, labels = np.asarray(sample['pred_score'].cpu(), np.float32), np.asarray(sample['gt_score'].cpu()) > 0.5
            check_finite_rows('the scores', scores[None], [sample.get('sample_id', '?')])
            self.results.append((scores, labels))

    def compute_metrics(self, results: list) -> dict:
        """Figures of everything that was processed, by all processes."""
        return self.figures(*(np.stack(part) for part in zip(*results)))

    def figures(self, scores: np.ndarray, labels: np.ndarray) -> dict:
        """Figures of probabilities ``(N, C)`` against labels ``(N, C)`` bool.

        Raises:
            DataError: If shapes differ, a probability is not finite, or no sample has a label.
        """
        from sklearn.metrics import average_precision_score, f1_score
        if scores.shape != labels.shape:
            raise DataError(f'scores and labels must be (samples, classes) of one shape, got {scores.shape} and {labels.shape}.')
        check_finite_rows('the scores', scores)
        there = labels.any(axis=0)
        if not there.any():
            raise DataError(f'none of the {len(labels)} samples has a label: there is no figure without one.')
        predicted = scores >= self.threshold
        return {
            'mAP_micro': 100 * average_precision_score(labels.ravel(), scores.ravel()),
            'mAP_macro': 100 * average_precision_score(labels[:, there], scores[:, there], average='macro'),
            'F1_micro': 100 * f1_score(labels, predicted, average='micro', zero_division=0),
            'F1_macro': 100 * f1_score(labels[:, there], predicted[:, there], average='macro', zero_division=0),
            'classes_left_out': float((~there).sum()),
        }
