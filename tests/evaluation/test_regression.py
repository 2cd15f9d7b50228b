"""MAE, RMSE, bias and R2 against scikit-learn, of scenes and of pixels."""
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from decur.errors import DataError
from decur.evaluation import RegressionErrors


def test_scenes():
    rng = np.random.default_rng(0)
    target, found = rng.normal(100, 5, (20, 1)).astype(np.float32), rng.normal(100, 5, (20, 1)).astype(np.float32)
    metric = RegressionErrors()
    for t, f in zip(target, found):
        sample = DataSample().set_gt_score(torch.from_numpy(t)).set_pred_score(torch.from_numpy(f))
        metric.process(None, [sample.to_dict()])
    figures = metric.compute_metrics(metric.results)
    assert figures['MAE'] == pytest.approx(mean_absolute_error(target, found), rel=1e-5)
    assert figures['RMSE'] == pytest.approx(mean_squared_error(target, found)**.5, rel=1e-5)
    assert figures['R2'] == pytest.approx(r2_score(target, found), rel=1e-5)
    assert figures['bias'] == pytest.approx(float((found - target).mean()), rel=1e-4)


def test_pixels_without_a_target_are_left_out():
    target = torch.tensor([[[1., float('nan')], [3., 5.]]])
    found = torch.tensor([[[2., 1e9], [3., 4.]]])
    metric = RegressionErrors()
    metric.process(None, [dict(pred_depth_map=dict(data=found), gt_depth_map=dict(data=target))])
    assert metric.compute_metrics(metric.results) == pytest.approx(dict(MAE=2 / 3, RMSE=(2 / 3)**.5, bias=0., R2=1 - 2 / 8))


def test_what_cannot_be_is_named():
    metric = RegressionErrors()
    with pytest.raises(DataError, match="'a': the prediction is \\(1, 2, 2\\), the target \\(1, 4, 4\\)"):
        maps = dict(pred_depth_map=dict(data=torch.zeros(1, 2, 2)), gt_depth_map=dict(data=torch.zeros(1, 4, 4)))
        metric.process(None, [dict(sample_id='a', **maps)])
    with pytest.raises(DataError, match='prediction is not finite'):
        metric.process(None, [dict(pred_score=torch.tensor([float('inf')]), gt_score=torch.zeros(1))])
    metric.process(None, [dict(pred_score=torch.zeros(1), gt_score=torch.tensor([float('nan')]))])
    with pytest.raises(DataError, match='no sample has a target'):
        metric.compute_metrics(metric.results)
