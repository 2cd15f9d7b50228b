"""Protocols in which frozen features are compared: GEO-Bench's kNN-5 and regularised linear probe, with all labels or with few."""
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError, DataError

from .probes import linear_scores, modality_subsets, score

#: Strengths C of the linear probe, inverse to the regularisation, as torchgeo-bench searches them: 10^-6 to 10^4.
C_RANGE = (-6., 4., 11)
#: Steps of L-BFGS, and the change of the loss at which it stops, as in torchgeo-bench: weak regularisation takes many small ones.
MAX_ITER, TOLERANCE = 2000, 1e-7


def nearest_scores(features: Tensor, targets: Tensor, queries: Tensor, k: int = 5) -> Tensor:
    """Shares of the labels among the k nearest samples by Euclidean distance, each with one vote.

    Args:
        features (Tensor): ``(N, F)`` of labelled samples.
        targets (Tensor): ``(N, C)``, one- or multi-hot.
        queries (Tensor): ``(M, F)``.
        k (int): Neighbours, at most N. Defaults to 5.

    Returns:
        Tensor: ``(M, C)``, 0 to 1.

    Raises:
        ConfigError: If ``k`` is not from 1 to N.
    """
    if not 1 <= k <= len(features):
        raise ConfigError(f'nearest neighbours need k from 1 to the number of training samples, {len(features)}; got {k}. Set -k.')
    out = []
    for chunk in queries.double().split(1024):
        _, index = torch.cdist(chunk, features.double()).topk(k, dim=1, largest=False)
        out.append(targets[index].float().mean(1))
    return torch.cat(out)


def searched_linear(train: tuple, val: tuple, queries: Tensor, multilabel: bool, c_range: Sequence = C_RANGE) -> tuple:
    """Logistic regression whose regularisation is chosen on ``val``; then trained again on both.

    Features are taken as they are, and C is scikit-learn's, as in torchgeo-bench: the sum of the samples' losses, plus the squared weights,
    halved, over C.

    Args:
        train (tuple[Tensor, Tensor]): ``(N, F)`` features and ``(N, C)`` targets.
        val (tuple[Tensor, Tensor]): The same of the validation samples.
        queries (Tensor): ``(M, F)``.
        multilabel (bool): A sigmoid per class instead of a softmax.
        c_range (Sequence): log10 of the first and the last C, and their number.

    Returns:
        tuple: ``(M, C)`` logits and the C that was chosen (the smallest of the best).
    """
    def fit(x: Tensor, y: Tensor, other: Tensor, c: float) -> Tensor:
        terms = y.numel() if multilabel else len(y)  # of which the loss is the mean
        return linear_scores(x, y, other, multilabel, l2=1 / (c * terms), max_iter=MAX_ITER, standardize=False,
                             tolerance=TOLERANCE)

    found = {c: figure(fit(*train, val[0], c), val[1], multilabel) for c in np.logspace(c_range[0], c_range[1], int(c_range[2]))}
    best = max(found, key=lambda c: (round(found[c], 6), -c))
    both = [torch.cat(part) for part in zip(train, val)]
    return fit(*both, queries, best), float(best)


def figure(scores: Tensor, targets: Tensor, multilabel: bool) -> float:
    """Top-1 accuracy or, of several labels, the average precision of all (sample, class) pairs ranked together, in percent.

    Args:
        scores (Tensor): ``(M, C)``.
        targets (Tensor): ``(M, C)``, one- or multi-hot.
        multilabel (bool): Which of them.

    Raises:
        DataError: If no sample has a label.
    """
    if not multilabel:
        return score(scores, targets)
    from sklearn.metrics import average_precision_score
    labels = targets.cpu().numpy().ravel() > .5
    if not labels.any():
        raise DataError(f'none of the {len(targets)} samples has a label: there is no figure without one.')
    return 100 * float(average_precision_score(labels, scores.cpu().numpy().ravel()))


def few_rows(targets: Tensor, shots: int, seed: int) -> Tensor:
    """Row numbers of ``shots`` samples of every class, drawn without replacement; a sample of several classes counts for each.

    Raises:
        DataError: If a class that occurs has fewer samples than that.
    """
    rng, rows = np.random.default_rng(seed), []
    for index in range(targets.shape[1]):
        having = np.flatnonzero(np.asarray(targets[:, index].cpu()) > .5)
        if 0 < len(having) < shots:
            raise DataError(f'class {index} has {len(having)} training samples: {shots} shots cannot be drawn of it.')
        rows += rng.choice(having, min(shots, len(having)), replace=False).tolist()
    return torch.tensor(sorted(set(rows)))


def geobench(train: Mapping, val: Mapping, test: Mapping, k: int = 5, c_range: Sequence = C_RANGE, shots: int | None = None,
             seeds: Sequence = (0, )) -> dict:
    """Figures of all modalities together and of each alone, mean and standard deviation over the draws of the training samples.

    Args:
        train (dict), val (dict), test (dict): From :func:`~decur.evaluation.probes.labelled_features`.
        k (int): Neighbours. Defaults to 5.
        c_range (Sequence): See :func:`searched_linear`.
        shots (int, optional): Training samples of every class. Defaults to all.
        seeds (Sequence[int]): Of the draws of few samples; one figure each.

    Returns:
        dict[str, dict]: By subset ``knn``, ``linear`` (:func:`figure`), ``knn_std``, ``linear_std`` over the draws, and ``C`` of the last.

    Raises:
        DataError: If sets differ in kind or in their labels, the training samples are of one class, or a class has too few samples.
        ConfigError: If there are fewer training samples than neighbours.
    """
    multilabel = train['multilabel']
    if not multilabel == val['multilabel'] == test['multilabel']:
        raise DataError('some of the sets have one class a sample and some several labels: the probe needs one kind.')
    widths = {title: part['targets'].shape[1] for title, part in (('training', train), ('validation', val), ('test', test))}
    if multilabel and len(set(widths.values())) > 1:
        raise DataError(f'the sets differ in the number of their labels: {widths}.')
    if not multilabel and len(train['targets']) and (only := train['targets'].argmax(1).unique()).numel() < 2:
        raise DataError(f'all {len(train["targets"])} training samples are of class {int(only[0])}: a probe needs two classes or more.')
    results = {}
    pairs = zip(modality_subsets(train, test), modality_subsets(train, val, 'validation'), strict=True)
    for (names, (x, y), (queries, truth)), (_, _, (held, held_truth)) in pairs:
        classes = max(part.shape[1] for part in (y, truth, held_truth))
        y, truth, held_truth = (F.pad(part, (0, classes - part.shape[1])) for part in (y, truth, held_truth))
        figures = dict(knn=[], linear=[])
        for seed in seeds if shots else seeds[:1]:
            rows = few_rows(y, shots, seed).to(x.device) if shots else slice(None)
            figures['knn'].append(figure(nearest_scores(x[rows], y[rows], queries, k), truth, multilabel))
            logits, best = searched_linear((x[rows], y[rows]), (held, held_truth), queries, multilabel, c_range) if not shots else (
                linear_scores(x[rows], y[rows], queries, multilabel), float('nan'))
            figures['linear'].append(figure(logits, truth, multilabel))
        results['+'.join(names)] = {**{key: float(np.mean(values)) for key, values in figures.items()},
                                    **{f'{key}_std': float(np.std(values)) for key, values in figures.items()}, 'C': best}
    return results
