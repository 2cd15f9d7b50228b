"""Set-wide metrics and scores."""
from .decoupling import decoupling_scores, effective_rank, linear_cka, mean_diagonal, probe, variance_explained
from .intervals import bootstrap_interval, t_interval
from .multilabel import MultiLabelScores
from .probe_hook import ProbeHook
from .record_hook import TestRecordHook
from .regression import RegressionErrors
from .segmentation import PerClassIoUMetric

__all__ = [
    'MultiLabelScores', 'PerClassIoUMetric', 'ProbeHook', 'RegressionErrors', 'TestRecordHook', 'bootstrap_interval', 'decoupling_scores',
    'effective_rank', 'linear_cka', 'mean_diagonal', 'probe', 't_interval', 'variance_explained'
]
