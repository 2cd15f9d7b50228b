"""What the pairwise baselines share: the pairs of modalities, each on the samples that have both."""
from collections.abc import Callable, Mapping
from itertools import combinations

import torch

from .gather import check_embeddings, gather_embeddings


def gather_first_views(embeddings: Mapping, present: Mapping | None, grad_reduce: str) -> tuple:
    """Check and gather the first view of every modality; see :mod:`~decur.models.objectives.gather`."""
    return gather_embeddings(*check_embeddings(embeddings, present, views=1), grad_reduce)


def over_pairs(embeddings: Mapping, present: Mapping | None, function: Callable) -> dict:
    """Apply a loss to every pair of modalities.

    Args:
        embeddings (dict[str, tuple[Tensor]]): Gathered views ``(N, K)``.
        present (dict[str, Tensor] | None): ``(N,)`` bool.
        function (Callable): ``(za, zb) -> {term: scalar}`` of two ``(n, K)`` tensors, n at least 2, run in float32 with autocast off.

    Returns:
        dict[str, dict[str, Tensor]]: The terms by ``<a>_<b>``. With fewer than 2 samples that have both modalities they are 0 and
        have no gradient.
    """
    out = {}
    for a, b in combinations(embeddings, 2):
        za, zb = embeddings[a][0], embeddings[b][0]
        both = None if present is None else present[a] & present[b]
        if both is not None:
            za, zb = za[both], zb[both]
        few = len(za) < 2
        if few:
            za = zb = za.new_zeros(2, za.shape[1])
        with torch.autocast(za.device.type, enabled=False):
            terms = function(za, zb)
        if few:
            # 0 with a graph through everything that a term depends on, so that no parameter seems unused to DistributedDataParallel.
            nothing = embeddings[a][0][:0].sum()
            terms = {name: nothing + 0 * value for name, value in terms.items()}
        out[f'{a}_{b}'] = terms
    return out


def total_of(terms: Mapping) -> dict:
    """Flatten to ``{'loss': total, 'loss_<term>_<a>_<b>': scalar}``; the total is the sum of all terms."""
    named = {f'loss_{term}_{pair}': value for pair, values in terms.items() for term, value in values.items()}
    return dict(loss=sum(named.values()), **named)
