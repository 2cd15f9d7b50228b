"""Set-wide metrics and scores."""
from .segmentation import PerClassIoUMetric

__all__ = ['PerClassIoUMetric']
