"""What can be done when a model meets another flood, without labels: the images' own statistics, and the mean over flips."""
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import Tensor, nn

from decur.binding import bind
from decur.evaluation.intervals import t_interval
from decur.evaluation.tables import markdown

from .records import COUNTS, THRESHOLDS
from .report import cell, difference
from .scores import GROUPS, STEPS, at_threshold, histogram, iou

#: Floods of another year.
EVENTS = GROUPS[1:]
#: What is done at test time, and what tables call it.
VARIANTS = dict(
    released='nothing',
    inputs='bands standardized by the flood\'s own means and deviations',
    batch_norm='batch normalization with the flood\'s own statistics',
    flips='mean over four flips')
COLUMNS = ('arm', 'subset', 'variant', *(f'{event}_{kind}{end}' for end in THRESHOLDS.values() for event in EVENTS for kind in COUNTS))


def batches_of(cfg: Config, split: str) -> list:
    """The chips of a list as batches that a model takes, in memory."""
    loader = copy.deepcopy(bind(cfg).test_dataloader)
    loader.dataset.split = split
    return list(Runner.build_dataloader(dict(loader, dataset=DATASETS.build(loader.dataset), num_workers=0, persistent_workers=False)))


def statistics(batches: Iterable[Mapping]) -> tuple:
    """Mean and standard deviation of every band over all pixels, ``(C, 1, 1)`` float32 each."""
    values = torch.cat([x.double().flatten(1) for batch in batches for x in batch['inputs']], dim=1)
    return tuple(value.float().reshape(-1, 1, 1) for value in (values.mean(dim=1), values.std(dim=1, unbiased=False)))


@torch.no_grad()
def adapted(model: nn.Module, batches: Sequence[Mapping], variant: str) -> nn.Module:
    """A copy of a model that is set up for some chips; labels are not looked at.

    Args:
        model: A segmentation model in evaluation mode.
        batches: Of :func:`batches_of`.
        variant: A key of :data:`VARIANTS`.
    """
    model = copy.deepcopy(model)
    if variant == 'inputs':
        for old, new in zip((model.data_preprocessor.mean, model.data_preprocessor.std), statistics(batches)):
            old.copy_(new[model.data_preprocessor.order])
    if variant == 'batch_norm':
        layers = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
            layer.train()
        for batch in batches:
            model(**model.data_preprocessor(batch, False), mode='tensor')
        for layer in layers:
            layer.eval()
    return model


@torch.no_grad()
def probabilities(model: nn.Module, batch: Mapping, flips: bool = False) -> Tensor:
    """Probability of flood, ``(N, H, W)``; with ``flips`` the mean over the chip and its three mirror images."""
    found = []
    for axes in ((), (1, ), (2, ), (1, 2)) if flips else ((), ):
        tested = model.test_step(dict(batch, inputs=[x.flip(axes) for x in batch['inputs']]))
        found.append(torch.stack([sample.seg_logits.data.softmax(dim=0)[1] for sample in tested]).flip(axes))
    return torch.stack(found).mean(dim=0)


def measure_events(model: nn.Module, chips: Mapping[str, Sequence], threshold: float) -> Iterator[dict]:
    """Test a model on every flood in every way.

    Args:
        model: A segmentation model of two classes, the second of which is flood, in evaluation mode.
        chips: {flood: batches}.
        threshold: The fitted one of its training, 0..1.

    Yields:
        dict: ``variant`` and the columns of pixels, at 0.5 and at ``threshold``.
    """
    for variant in VARIANTS:
        row = dict(variant=variant)
        for event in EVENTS:
            ready, counts = adapted(model, chips[event], variant), np.zeros((2, STEPS), np.int64)
            for batch in chips[event]:
                for p, sample in zip(probabilities(ready, batch, variant == 'flips'), batch['data_samples']):
                    counts += histogram(p.numpy(), sample.gt_sem_seg.data[0].numpy())
            for end, step in zip(THRESHOLDS.values(), (STEPS // 2, round(threshold * STEPS))):
                row.update({f'{event}_{kind}{end}': str(value) for kind, value in zip(COUNTS, at_threshold(counts, step).tolist())})
        yield row


def shift_table(rows: Sequence[Mapping], study: Config) -> str:
    """Variants by arm: IoU over all floods at both thresholds, what the variant adds, and the IoU of each flood at 0.5. Markdown."""
    def values(arm, variant, events, end):
        return {int(row['subset']): iou([[int(row[f'{event}_{kind}{end}']) for kind in COUNTS] for event in events])
                for row in rows if (row['arm'], row['variant']) == (arm, variant)}

    lines = []
    for arm in dict.fromkeys(row['arm'] for row in rows):
        for variant, title in VARIANTS.items():
            line = [f'{study.arms[arm]["label"]}: {title}']
            for end in THRESHOLDS.values():
                found, before = (values(arm, name, EVENTS, end) for name in (variant, 'released'))
                gains = {} if variant == 'released' else {subset: found[subset] - before[subset] for subset in found if subset in before}
                line += [cell(_interval(found)), difference(gains)]
            lines.append(line + [cell(_interval(values(arm, variant, (event, ), ''))) for event in EVENTS])
    return markdown(['start: at test time', 'threshold 0.5', 'change', 'threshold fitted', 'change', *map(str.capitalize, EVENTS)],
                    lines, numbers=True)


def _interval(found: Mapping):
    return (t_interval(list(found.values())), len(found)) if found else None
