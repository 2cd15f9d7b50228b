"""DeCUR with a block of dimensions for every subset of three or more modalities that share something."""
from collections.abc import Mapping
from itertools import combinations

import torch
from mmengine.registry import MODELS

from decur.errors import ConfigError

from .batch import Batch
from .decur import DeCURHead, correlation_term, off_diagonal_weights, standardize, with_gram
from .statistics import mean_diagonals


@MODELS.register_module()
class SubsetDeCURHead(DeCURHead):
    """DeCUR whose common dimensions belong to subsets of the modalities.

    With one common block, what two of three modalities share has no place of its own: the third must agree in every common dimension, and
    the pair must differ in every other. Here every subset may have a block. Two modalities are to agree in the blocks of the subsets that
    hold both, and to be uncorrelated in all others; the terms are those of :class:`DeCURHead`, which this is for ``blocks={'all': n}``.

    Args:
        blocks (dict): Number of dimensions by subset, a tuple of names or ``'all'``, in the order of the dimensions:
            ``{'all': 128, ('optical', 'height'): 64}``. What is left of K is unique. ``common_dim`` is what the subset of all has.
        lambd, weighting, intra, form, eps, **kwargs: As :class:`DeCURHead`.

    Raises:
        ConfigError: If a block has no positive number of dimensions or fewer than two names, ``'all'`` is not the first, or, in training,
            a name is unknown or the blocks are wider than the embedding.
    """

    def __init__(self, blocks: Mapping, **kwargs):
        for subset, dims in blocks.items():
            if isinstance(dims, bool) or not isinstance(dims, int) or dims < 1 or (subset != 'all' and len(set(subset)) < 2):
                raise ConfigError("blocks must give a positive number of dimensions for 'all' or a tuple of modalities, got "
                                  f'{subset!r}: {dims!r}.')
        if 'all' in list(blocks)[1:]:
            raise ConfigError(f"the block of 'all' must be the first of {list(blocks)}: other parts take the first dimensions as common.")
        super().__init__(blocks.get('all', 0), **kwargs)
        self.blocks = dict(blocks)

    def shared(self, pair: tuple, names: tuple, width: int) -> torch.Tensor:
        """Which dimensions ``(K,)`` bool a pair of modalities shares."""
        unknown = sorted({name for subset in self.blocks if subset != 'all' for name in subset} - set(names))
        if unknown or sum(self.blocks.values()) > width:
            raise ConfigError(f'blocks {self.blocks} do not fit modalities {list(names)} and embeddings of {width} dimensions.')
        both = [subset == 'all' or set(pair) <= set(subset) for subset in self.blocks]
        sizes = [*self.blocks.values(), width - sum(self.blocks.values())]
        return torch.repeat_interleave(torch.tensor([*both, False]), torch.tensor(sizes))

    def objective(self, batch: Batch) -> tuple:
        """Algorithm 1 with the common dimensions of every pair."""
        names, pairs = tuple(batch.views), list(combinations(batch.views, 2))
        kinds = {f'intra_{m}': 'intra' for m in names if self.intra}
        for a, b in pairs:
            kinds.update({f'common_{a}_{b}': 'common', f'unique_{a}_{b}': 'unique'})
        weights, terms, diagonals = off_diagonal_weights(self.lambd, kinds), {}, {}

        def term(name: str, za: torch.Tensor, zb: torch.Tensor, target: float) -> None:
            a, b = (with_gram(z, self.form, batch.width) for z in (za, zb))
            terms[name], diagonals[name] = correlation_term(a, b, target, weights[name])

        for m in names if self.intra else ():
            term(f'intra_{m}', *(standardize(batch.rows(m, view, (m, )), self.eps) for view in range(2)), 1.)
        for a, b in pairs:
            za, zb = (standardize(batch.rows(m, 0, (a, b)), self.eps) for m in (a, b))
            shared = self.shared((a, b), names, batch.width).to(za.device)
            term(f'common_{a}_{b}', za[:, shared], zb[:, shared], 1.)
            term(f'unique_{a}_{b}', za[:, ~shared], zb[:, ~shared], 0.)
        return self.total(terms, len(names)), terms, mean_diagonals(diagonals)
