"""The confusion matrix of written label maps."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from decur.binding import bind
from decur.errors import ConfigError, DataError
from decur.writing import naming, replacing


def count_confusion(cfg: Config, predictions: str | Path, split: str = 'test') -> tuple:
    """Count the pixels of each true and each predicted class.

    Args:
        cfg (Config): Of a segmentation model.
        predictions (str | Path): ``FOLDER/<sample>.png`` of class indices, as :class:`~decur.visualization.PredictionPictureHook` writes.
        split (str): Loader of the config whose labels are compared.

    Returns:
        tuple[tuple, ndarray]: Names of the K classes, and ``(K, K)`` int64, rows by the true class. Ignored pixels are left out.

    Raises:
        ConfigError: If the config has no such loader with classes.
        DataError: If a prediction is missing, has another size than the label, or values that are no classes.
    """
    from PIL import Image
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    loader = bind(cfg).get(f'{split}_dataloader')
    if not loader:
        raise ConfigError(f'{cfg.filename or "the config"} has no {split}_dataloader.')
    dataset = DATASETS.build(dict(loader['dataset'], pipeline=[dict(type='LoadLabelMap')]))
    table = getattr(dataset, 'label_table', None)
    if table is None or not table.classes:
        raise ConfigError(f'{cfg.filename or "the config"}: the data of its {split}_dataloader have no classes, so there is nothing to '
                          'confuse.')
    if not Path(predictions).is_dir():
        raise DataError(f'{predictions} is no folder of predictions: write them with tools/test.py CONFIG CHECKPOINT --show-dir FOLDER.')
    count = len(table.classes)
    counts = np.zeros((count, count), np.int64)
    for index in range(len(dataset)):
        results = dataset[index]
        sample, label = results['sample_id'], np.asarray(results['gt_seg_map'])
        path = Path(predictions, f'{sample}.png')
        if not path.is_file():
            raise DataError(f'{path} does not exist: sample {sample!r} has no prediction.')
        with Image.open(path) as image:
            found = np.asarray(image)
        if found.shape != label.shape:
            raise DataError(f'{path} has shape {found.shape}, the label of sample {sample!r} {label.shape}.')
        known = label != table.ignore_index
        if known.any() and found[known].max() >= count:
            raise DataError(f'{path} has the value {found[known].max()}, but there are {count} classes, from 0.')
        counts += np.bincount(count * label[known].astype(np.int64) + found[known], minlength=count**2).reshape(count, count)
    return tuple(table.classes), counts


def draw_confusion(classes: Sequence[str], counts: np.ndarray, path: str | Path) -> None:
    """Draw shares of each row in percent; rows without pixels stay empty."""
    from matplotlib.figure import Figure
    shares = 100 * counts / np.where(counts.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + .62 * len(classes)
    figure = Figure(figsize=(side, side), layout='constrained')
    axes = figure.subplots()
    axes.imshow(np.ma.masked_where(np.broadcast_to(counts.sum(axis=1, keepdims=True) == 0, counts.shape), shares), cmap='Blues', vmin=0,
                vmax=100)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha='right')
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel('predicted')
    axes.set_ylabel('true')
    axes.set_title('% of the pixels of the true class')
    for row, values in enumerate(shares):
        for column, value in enumerate(values if counts[row].any() else ()):
            axes.text(column, row, f'{value:.0f}', ha='center', va='center', color='white' if value > 55 else 'black', fontsize=9)
    with naming(path), replacing(path) as temporary:
        figure.savefig(temporary, format='png', dpi=110)
