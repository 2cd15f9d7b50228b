"""Segmentation metrics class by class."""
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric


@METRICS.register_module()
class PerClassIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric`` that also returns ``IoU.<class>`` and ``Acc.<class>``, in percent (NaN for a class that is not there)."""

    def compute_metrics(self, results: list) -> dict:
        """The summary over classes, then every class."""
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        totals = [sum(areas) for areas in zip(*results)]
        values = self.total_area_to_metrics(*totals, self.metrics, self.nan_to_num, self.beta)
        for key in ('IoU', 'Acc'):
            for name, value in zip(self.dataset_meta['classes'], values.get(key, ())):
                metrics[f'{key}.{name}'] = round(100 * float(value), 2)
        return metrics
