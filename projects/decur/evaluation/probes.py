"""How much frozen features tell about labels: k nearest neighbours and a linear probe."""
from collections.abc import Callable, Iterator

import torch
from mmengine.dist import all_gather_object
from mmpretrain.evaluation import AveragePrecision
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError, DataError
from decur.gathering import gather_rows
from decur.modalities import check_finite_rows

from .multilabel import MultiLabelScores


@torch.no_grad()
def labelled_features(model: nn.Module, loader, after_batch: Callable | None = None, num_classes: int | None = None) -> dict:
    """Pooled features, masks and targets of a labelled set, from all processes.

    Args:
        model (BaseModel): With ``extract_feat({name: (N, C, H, W)}) -> {name: (N, F)}``; it is used in the mode that it is in.
        loader (DataLoader): Its samples have ``gt_label`` or multi-hot ``gt_score``.
        after_batch (Callable, optional): Called after every batch.
        num_classes (int, optional): Of the config; labels of other classes are refused. Defaults to as many as there are.

    Returns:
        dict: ``features`` ``{name: (N, F)}``, ``present`` ``{name: (N, ) bool}``, ``targets`` ``(N, classes)`` one- or multi-hot,
        ``multilabel`` (bool), ``sample_ids`` (list of N).

    Raises:
        DataError: If a sample has no label, or one that is none of the classes, or there is no sample.
    """
    features, present, labels, scores, ids = {}, {}, [], [], []
    for batch in loader:
        batch = model.data_preprocessor(batch, False)
        for name, x in model.extract_feat(batch['inputs']).items():
            features.setdefault(name, []).append(x.float())
            have = [bool((getattr(s, 'present', None) or {}).get(name, True)) for s in batch['data_samples']]
            present.setdefault(name, []).append(torch.tensor(have, device=x.device))
        for sample in batch['data_samples']:
            ids.append(str(getattr(sample, 'sample_id', '?')))
            if 'gt_score' in sample:
                scores.append(sample.gt_score)
                if len(sample.gt_score) != (num_classes or len(scores[0])):
                    raise DataError(f'sample {ids[-1]!r} has {len(sample.gt_score)} labels (gt_score), expected '
                                    f'{num_classes or len(scores[0])}: correct the data set, or num_classes of the head.')
            elif 'gt_label' in sample:
                labels.append(int(sample.gt_label))
                if labels[-1] < 0 or num_classes and labels[-1] >= num_classes:
                    raise DataError(f'sample {ids[-1]!r} has the label {labels[-1]}; classes are counted from 0'
                                    f'{f" to {num_classes - 1}" if num_classes else ""}: correct the data set, or num_classes of the head.')
            else:
                raise DataError(f'the probe needs labels: sample {ids[-1]!r} has neither gt_label nor gt_score.')
        if after_batch:
            after_batch()
    if scores and labels:
        raise DataError(f'the probe\'s dataset {type(loader.dataset).__name__} has samples with one class and samples with several labels.')
    if not features:
        raise DataError(f'the probe\'s dataset {type(loader.dataset).__name__} is empty.')
    device = next(iter(features.values()))[0].device
    targets = torch.stack(scores).to(device) if scores else torch.tensor(labels, device=device)
    out = dict(
        features={name: _gather(torch.cat(x)) for name, x in features.items()},
        present={name: _gather(torch.cat(x)) for name, x in present.items()},
        targets=_gather(targets),
        multilabel=bool(scores),
        sample_ids=[name for part in all_gather_object(ids) for name in part])
    if not scores:
        out['targets'] = F.one_hot(out['targets'], num_classes or -1)
    return out


def _gather(x: Tensor) -> Tensor:
    return gather_rows(x, all_gather_object(len(x)))


def modality_subsets(train: dict, test: dict, title: str = 'test') -> Iterator[tuple]:
    """All modalities together (features concatenated), then each alone, of two sets from :func:`labelled_features`.

    Args:
        train (dict), test (dict): The two sets.
        title (str): What messages call the second one. Defaults to ``'test'``.

    Yields:
        tuple: Names, ``(features (N, F), targets (N, C))`` of the training and of the test samples that have all of these modalities.

    Raises:
        DataError: If no sample has them, or a feature is not finite.
    """
    for kind, part in (('training', train), (title, test)):
        for name, x in part['features'].items():
            rows = part['present'][name].nonzero()[:, 0].tolist()  # those that lack the modality do not count
            ids = part.get('sample_ids') or [f'number {i}' for i in range(len(x))]
            check_finite_rows(f'the features of modality {name!r}', x[rows], [ids[i] for i in rows], f'{kind} samples')
    # Class indices of both sets, so that a class that one of them lacks does not shift the others.
    classes = max(train['targets'].shape[1], test['targets'].shape[1])
    names = list(train['features'])
    for subset in [names] + ([[name] for name in names] if len(names) > 1 else []):
        sets = []
        for part in (train, test):
            keep = torch.stack([part['present'][name] for name in subset]).all(0)
            sets.append((torch.cat([part['features'][name] for name in subset], 1)[keep],
                         F.pad(part['targets'], (0, classes - part['targets'].shape[1]))[keep]))
        if not all(len(x) for x, _ in sets):
            raise DataError(f'the probe has {len(sets[0][0])} training and {len(sets[1][0])} {title} samples with {subset}: it needs some '
                            'of both.')
        yield subset, *sets


def knn_multilabel(train: dict, test: dict, k: int = 20, temperature: float = 0.07) -> dict:
    """Figures of nearest-neighbour votes on a multi-label set.

    Args:
        train (dict): From :func:`labelled_features`.
        test (dict): The same.
        k (int): See :func:`knn_scores`.
        temperature (float): See :func:`knn_scores`.

    Returns:
        dict[str, dict]: Metrics of :class:`MultiLabelScores` for ``'sar+optical'`` (features concatenated), ``'sar'``, ``'optical'``.

    Raises:
        DataError: If the labels are single classes, or a feature is not finite.
        ConfigError: If ``k`` or ``temperature`` is not positive.
    """
    if not (train['multilabel'] and test['multilabel']):
        raise DataError('these are sets with one class a sample; multi-label figures need gt_score.')
    results = {}
    for subset, (xa, ya), (xb, yb) in modality_subsets(train, test):
        figures = MultiLabelScores().figures(knn_scores(xa, ya, xb, k, temperature).cpu().numpy(), yb.cpu().numpy() > 0.5)
        results['+'.join(subset)] = {f'{MultiLabelScores.default_prefix}/{key}': float(value) for key, value in figures.items()}
    return results


def knn_scores(features: Tensor, targets: Tensor, queries: Tensor, k: int = 20, temperature: float = 0.07) -> Tensor:
    """Weighted nearest-neighbour votes (Wu et al., 2018, arXiv 1805.01978).

    Args:
        features (Tensor): ``(N, F)`` of labelled samples.
        targets (Tensor): ``(N, C)``, one- or multi-hot.
        queries (Tensor): ``(M, F)``.
        k (int): Neighbours by cosine similarity, at most N. Defaults to 20.
        temperature (float): A neighbour votes with exp(similarity / temperature). Defaults to 0.07.

    Returns:
        Tensor: ``(M, C)`` shares of the votes, 0 to 1.

    Raises:
        ConfigError: If ``k`` or ``temperature`` is not positive.
    """
    check_neighbours(k, temperature)
    features, targets = F.normalize(features.float(), dim=1), targets.float()
    out = []
    for chunk in F.normalize(queries.float(), dim=1).split(1024):
        similarity, index = (chunk @ features.T).topk(min(k, len(features)), dim=1)
        votes = torch.softmax(similarity / temperature, dim=1)
        out.append(torch.einsum('mk,mkc->mc', votes, targets[index]))
    return torch.cat(out)


def check_neighbours(k: int, temperature: float) -> None:
    """Refuse settings of :func:`knn_scores` without a meaning.

    Raises:
        ConfigError: If ``k`` or ``temperature`` is not positive.
    """
    if k < 1 or not temperature > 0:
        raise ConfigError(f'nearest neighbours need k of at least 1 and a temperature above 0, got k={k}, temperature={temperature}.')


def linear_scores(features: Tensor, targets: Tensor, queries: Tensor, multilabel: bool = False, l2: float = 1e-4,
                  max_iter: int = 100, standardize: bool = True, tolerance: float = 1e-9) -> Tensor:
    """Logistic regression by L-BFGS on the whole set.

    Args:
        features (Tensor): ``(N, F)`` of labelled samples.
        targets (Tensor): ``(N, C)``, one- or multi-hot.
        queries (Tensor): ``(M, F)``.
        multilabel (bool): A sigmoid per class instead of a softmax. Defaults to False.
        l2 (float): Weight of the squared weights, halved, beside the mean loss. Defaults to 1e-4.
        max_iter (int): Steps. Defaults to 100.
        standardize (bool): Bring every feature to mean 0 and standard deviation 1 on the labelled samples. Defaults to True.
        tolerance (float): It stops when a step changes the loss by less. Defaults to 1e-9.

    Returns:
        Tensor: ``(M, C)`` logits.
    """
    x, queries, targets = features.float(), queries.float(), targets.float()
    if standardize:
        mean, std = x.mean(0), x.std(0, correction=0)
        # A feature that never changes tells nothing; do not divide by its rounding.
        scale = torch.where(std > 1e-6, 1 / std.clamp(min=1e-6), torch.zeros_like(std))
        x, queries = (x - mean) * scale, (queries - mean) * scale
    weight = x.new_zeros(x.shape[1], targets.shape[1], requires_grad=True)
    bias = x.new_zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=max_iter, tolerance_change=tolerance,
                                  line_search_fn='strong_wolfe')

    def closure():
        optimizer.zero_grad()
        logits = x @ weight + bias
        loss = F.binary_cross_entropy_with_logits(logits, targets) if multilabel else F.cross_entropy(logits, targets)
        loss = loss + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return (queries @ weight + bias).detach()


def score(scores: Tensor, targets: Tensor, multilabel: bool = False) -> float:
    """Top-1 accuracy, or mean average precision over the classes for multi-label targets, in percent.

    Args:
        scores (Tensor): ``(M, C)``.
        targets (Tensor): ``(M, C)``, one- or multi-hot. Of several labels, classes without a positive sample do not count.
        multilabel (bool): Defaults to False.

    Raises:
        DataError: If no sample has a label.
    """
    if multilabel:
        there = (targets > .5).any(0)
        if not there.any():
            raise DataError(f'none of the {len(targets)} samples has a label: there is no figure without one.')
        return float(AveragePrecision.calculate(scores[:, there], targets[:, there].int(), average='macro'))
    return 100 * float((scores.argmax(1) == targets.argmax(1)).float().mean())
