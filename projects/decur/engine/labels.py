"""Whether a segmentation model, its data and its evaluator mean the same by a label."""
from collections.abc import Iterable

from torch import nn

from ..errors import ConfigError


def check_labels(model: nn.Module, dataset, metrics: Iterable = ()) -> None:
    """Refuse a model or a metric with another number of classes, or another ignore index, than the data set.

    Else labels are out of range in the loss, or, worse, a metric counts pixels that have no label.

    Args:
        model (nn.Module): Its parts with ``num_classes`` and ``ignore_index`` (mmseg's decode heads) are looked at.
        dataset (MultimodalDataset): Others, and those without classes, are left alone; wrappers are looked into.
        metrics (Iterable): Metrics of the evaluator; those with ``ignore_index`` are looked at.

    Raises:
        ConfigError: Names the part and the two values.
    """
    for part in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', dataset)]:
        table = getattr(part, 'label_table', None)
        if table is None or table.classes is None:
            continue
        heads = [(name, module) for name, module in model.named_modules()
                 if hasattr(module, 'num_classes') and hasattr(module, 'ignore_index')]
        for name, head in heads:
            if head.num_classes != len(table.classes):
                raise ConfigError(f'model.{name} has {head.num_classes} classes, {type(part).__name__} has {len(table.classes)} '
                                  f'({", ".join(table.classes[:4])}{", ..." if len(table.classes) > 4 else ""}). Set '
                                  f'model.{name}.num_classes={len(table.classes)}, or correct the classes of the data set.')
        pads = getattr(model, 'data_preprocessor', None)
        if (getattr(pads, 'size', None) or getattr(pads, 'size_divisor', None)) and pads.seg_pad_val != table.ignore_index:
            raise ConfigError(f'model.data_preprocessor pads labels with {pads.seg_pad_val}, the ignore index is {table.ignore_index}: '
                              'padding would be learnt or counted. Set its seg_pad_val to the ignore index.')
        for name, other in [*heads, *((f'evaluator {type(metric).__name__}', metric) for metric in metrics)]:
            if getattr(other, 'ignore_index', table.ignore_index) != table.ignore_index:
                raise ConfigError(f'{name} ignores label {other.ignore_index}, {type(part).__name__} gives pixels without a label '
                                  f'{table.ignore_index}. Set ignore_index to one value in the data set, the heads and the metrics.')
