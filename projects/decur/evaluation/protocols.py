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


def nearest_scores(features: Tensor, targets: Tensor, queries: Tensor, k: int = 5) -> Tensor:
    """Shares of the labels among the k nearest samples by Euclidean distance, each with one vote.

    Args:
        features (Tensor): ``(N, F)`` of labelled samples.
        targets (Tensor): ``(N, C)``, one- or multi-hot.
        queries (Tensor): ``(M, F)``.
        k (int): Neighbours, at most N. Defaults to 5.

    Returns:
        Tensor: ``(M, C)``, 0 to 1. Of equal shares the class of the nearer samples is the larger by less than 1/k^2.
    """
    if k < 1:
        raise ConfigError(f'nearest neighbours need k of at least 1, got {k}.')
    k = min(k, len(features))
    votes = 1 / k + torch.linspace(1, 0, k, dtype=torch.float64) * 1e-6  # ties go to the nearer ones
    out = []
    for chunk in queries.double().split(1024):
        _, index = torch.cdist(chunk, features.double()).topk(k, dim=1, largest=False)
        out.append(torch.einsum('k,mkc->mc', votes / votes.sum(), targets.double()[index]))
    return torch.cat(out).float()


def searched_linear(train: tuple, val: tuple, queries: Tensor, multilabel: bool, c_range: Sequence = C_RANGE) -> tuple:
    """Logistic regression whose regularisation is chosen on ``val``; then trained again on both.

    Args:
        train (tuple[Tensor, Tensor]): ``(N, F)`` features and ``(N, C)`` targets.
        val (tuple[Tensor, Tensor]): The same of the validation samples.
        queries (Tensor): ``(M, F)``.
        multilabel (bool): A sigmoid per class instead of a softmax.
        c_range (Sequence): log10 of the first and the last C, and their number.

    Returns:
        tuple: ``(M, C)`` logits and the C that was chosen (the smallest of the best).
    """
    found = {}
    for c in np.logspace(c_range[0], c_range[1], int(c_range[2])):
        logits = linear_scores(*train, val[0], multilabel, l2=1 / (c * len(train[0])))
        found[c] = score(logits, val[1], multilabel)
    best = max(found, key=lambda c: (round(found[c], 6), -c))
    both = [torch.cat(part) for part in zip(train, val)]
    return linear_scores(*both, queries, multilabel, l2=1 / (best * len(both[0]))), float(best)


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
        dict[str, dict]: By subset ``knn``, ``linear`` (top-1 accuracy, or the macro mean average precision of several labels, in percent),
        ``knn_std``, ``linear_std`` over the draws, and ``C`` of the last.

    Raises:
        DataError: If sets differ in kind, or a class has too few samples.
    """
    multilabel = train['multilabel']
    if not multilabel == val['multilabel'] == test['multilabel']:
        raise DataError('some of the sets have one class a sample and some several labels: the probe needs one kind.')
    results = {}
    pairs = zip(modality_subsets(train, test), modality_subsets(train, val), strict=True)
    for (names, (x, y), (queries, truth)), (_, _, (held, held_truth)) in pairs:
        classes = max(part.shape[1] for part in (y, truth, held_truth))
        y, truth, held_truth = (F.pad(part, (0, classes - part.shape[1])) for part in (y, truth, held_truth))
        figures = dict(knn=[], linear=[])
        for seed in seeds if shots else seeds[:1]:
            rows = few_rows(y, shots, seed).to(x.device) if shots else slice(None)
            figures['knn'].append(score(nearest_scores(x[rows], y[rows], queries, k), truth, multilabel))
            logits, best = searched_linear((x[rows], y[rows]), (held, held_truth), queries, multilabel, c_range) if not shots else (
                linear_scores(x[rows], y[rows], queries, multilabel), float('nan'))
            figures['linear'].append(score(logits, truth, multilabel))
        results['+'.join(names)] = {**{key: float(np.mean(values)) for key, values in figures.items()},
                                    **{f'{key}_std': float(np.std(values)) for key, values in figures.items()}, 'C': best}
    return results
