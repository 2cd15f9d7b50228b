"""How much frozen features tell about labels: k nearest neighbours and a linear probe."""
import torch
from mmpretrain.evaluation import AveragePrecision
from torch import Tensor
from torch.nn import functional as F


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
    """
    features, targets = F.normalize(features.float(), dim=1), targets.float()
    out = []
    for chunk in F.normalize(queries.float(), dim=1).split(1024):
        similarity, index = (chunk @ features.T).topk(min(k, len(features)), dim=1)
        votes = torch.softmax(similarity / temperature, dim=1)
        out.append(torch.einsum('mk,mkc->mc', votes, targets[index]))
    return torch.cat(out)


def linear_scores(features: Tensor, targets: Tensor, queries: Tensor, multilabel: bool = False, l2: float = 1e-4,
                  max_iter: int = 100) -> Tensor:
    """Logistic regression on standardised features, by L-BFGS on the whole set.

    Args:
        features (Tensor): ``(N, F)`` of labelled samples.
        targets (Tensor): ``(N, C)``, one- or multi-hot.
        queries (Tensor): ``(M, F)``.
        multilabel (bool): A sigmoid per class instead of a softmax. Defaults to False.
        l2 (float): Weight of the squared weights, halved, beside the mean loss. Defaults to 1e-4.
        max_iter (int): Steps. Defaults to 100.

    Returns:
        Tensor: ``(M, C)`` logits.
    """
    features, queries, targets = features.float(), queries.float(), targets.float()
    mean, std = features.mean(0), features.std(0, correction=0)
    # A feature that never changes tells nothing; do not divide by its rounding.
    scale = torch.where(std > 1e-6, 1 / std.clamp(min=1e-6), torch.zeros_like(std))
    x = (features - mean) * scale
    weight = x.new_zeros(x.shape[1], targets.shape[1], requires_grad=True)
    bias = x.new_zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=max_iter, line_search_fn='strong_wolfe')

    def closure():
        optimizer.zero_grad()
        logits = x @ weight + bias
        loss = F.binary_cross_entropy_with_logits(logits, targets) if multilabel else F.cross_entropy(logits, targets)
        loss = loss + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return ((queries - mean) * scale @ weight + bias).detach()


def score(scores: Tensor, targets: Tensor, multilabel: bool = False) -> float:
    """Top-1 accuracy, or mean average precision over the classes for multi-label targets, in percent.

    Args:
        scores (Tensor): ``(M, C)``.
        targets (Tensor): ``(M, C)``, one- or multi-hot.
        multilabel (bool): Defaults to False.
    """
    if multilabel:
        return float(AveragePrecision.calculate(scores, targets.int(), average='macro'))
    return 100 * float((scores.argmax(1) == targets.argmax(1)).float().mean())
