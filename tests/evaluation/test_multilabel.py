"""Multi-label figures against their definitions."""
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from decur.errors import DataError
from decur.evaluation import MultiLabelScores


def average_precision(scores, labels):
    """Mean precision at the rank of every positive (no ties)."""
    order = np.argsort(-scores)
    hits = labels[order]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def test_figures_are_over_the_whole_set_and_not_over_batches():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((60, 5)).astype(np.float32), rng.random((60, 5)) < .3
    labels[:, 4] = False
    metric = MultiLabelScores()
    for start in range(0, 60, 7):
        metric.process(None, [
            DataSample().set_pred_score(torch.tensor(s)).set_gt_score(torch.tensor(y, dtype=torch.float32)).to_dict()
            for s, y in zip(scores[start:start + 7], labels[start:start + 7])
        ])
    figures = metric.evaluate(60)
    assert figures['multi-label/mAP_micro'] == pytest.approx(100 * average_precision(scores.ravel(), labels.ravel()))
    assert figures['multi-label/mAP_macro'] == pytest.approx(
        100 * np.mean([average_precision(scores[:, c], labels[:, c]) for c in range(4)]))
    predicted = scores >= .5
    true = (predicted & labels).sum()
    assert figures['multi-label/F1_micro'] == pytest.approx(100 * 2 * true / (predicted.sum() + labels.sum()))
    assert figures['multi-label/classes_left_out'] == 1


def test_what_gives_no_figure_is_an_error():
    metric = MultiLabelScores()
    sample = DataSample(metainfo=dict(sample_id='S1_42')).set_pred_score(torch.tensor([0.5, float('nan')])).set_gt_score(torch.ones(2))
    with pytest.raises(DataError, match='scores are not finite .* S1_42. Look'):
        metric.process(None, [sample.to_dict()])
    with pytest.raises(DataError, match='not finite .* for 1 of 3 samples'):
        metric.figures(np.array([[0.1], [np.inf], [0.2]]), np.ones((3, 1), bool))
    with pytest.raises(DataError, match='none of the 3 samples has a label'):
        metric.figures(np.ones((3, 2)), np.zeros((3, 2), bool))
    with pytest.raises(DataError, match='of one shape'):
        metric.figures(np.ones((3, 2)), np.ones((3, 4), bool))
