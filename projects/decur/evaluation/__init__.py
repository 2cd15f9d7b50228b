"""Set-wide metrics and scores."""
from .multilabel import MultiLabelScores
from .segmentation import PerClassIoUMetric

__all__ = ['MultiLabelScores', 'PerClassIoUMetric']
