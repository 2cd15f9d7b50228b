r"""Sums over cross-correlation matrices, exact, without building the matrices where that is faster.

For Za, Zb of shape (n, D) and :math:`C = Z_a^T Z_b / n` (D x D), every loss of the Barlow Twins family needs two things only: the diagonal
:math:`d = \mathrm{mean}(Z_a * Z_b, 0)` and the sum of all squares. The latter is a sum over Gram matrices (n x n),

.. math:: \sum_{ij} C_{ij}^2 = \sum_{kl} (Z_a Z_a^T)_{kl} (Z_b Z_b^T)_{kl} / n^2,

so values and gradients cost O(n^2 D) time and O(n D + n^2) memory. Where n is larger than D the matrix form, O(n D^2) time and O(D^2)
memory, is the cheaper one; both give the same numbers.
"""
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from decur.errors import ConfigError

FORMS = ('auto', 'gram', 'matrix')


@dataclass(frozen=True)
class Term:
    r"""One term :math:`\sum_i (C_{ii} - t)^2 + \lambda \sum_{i \neq j} C_{ij}^2` over columns ``start:stop`` of two views.

    Attributes:
        first (int): Index of Za among the views.
        second (int): Index of Zb.
        start (int): First column.
        stop (int): One past the last column.
        target (float): t, 1 to align and 0 to decorrelate.
        lambd (float): Weight of the squares off the diagonal.
    """

    first: int
    second: int
    start: int
    stop: int
    target: float
    lambd: float


def choose_form(form: str, rows: int, width: int) -> str:
    """``'gram'`` or ``'matrix'``; ``'auto'`` takes the Gram form unless the batch is larger than the embedding is wide.

    Raises:
        ConfigError: If ``form`` is unknown.
    """
    if form not in FORMS:
        raise ConfigError(f'form must be one of {FORMS}, got {form!r}.')
    if form == 'auto':
        return 'gram' if rows <= width else 'matrix'
    return form


def standardize(z: Tensor, eps: float, out: Tensor, scratch: Tensor) -> tuple:
    """Batch normalisation without affine: zero mean and unit (biased) variance of every column.

    A constant column gives exactly 0: its first row is subtracted before the mean is taken, so no rounding is blown up.

    Args:
        z (Tensor): ``(n, B)``.
        eps (float): Added to the variance.
        out (Tensor): ``(n, B)``, gets the result.
        scratch (Tensor): ``(n, B)``, overwritten.

    Returns:
        tuple[Tensor, Tensor]: ``(B,)`` mean above the first row, and 1 / standard deviation.
    """
    torch.sub(z, z[:1], out=out)
    mean = out.mean(dim=0)
    out -= mean
    scale = torch.mul(out, out, out=scratch).mean(dim=0).add_(eps).rsqrt_()
    out *= scale
    return mean, scale


def apply_standardization(z: Tensor, mean: Tensor, scale: Tensor, out: Tensor) -> None:
    """Write what :func:`standardize` made of ``z`` into ``out`` again, from what it returned."""
    torch.sub(z, z[:1], out=out)
    out -= mean
    out *= scale


class _CorrelationTerms(torch.autograd.Function):
    """All terms over one set of rows. One function for the standardisation, the sums and their gradients.

    It shares between terms what plain autograd would compute again: a Gram matrix of all columns is the sum of those of its parts, and
    each view's gradient is one product per part, whatever number of terms it enters.

    The Gram form goes through the columns in blocks, each standardised into a buffer of its own, and again on the way back: that costs
    less than to store the standardised views, and rows that lie a power of two of bytes apart would fall into the same cache lines.
    """

    @staticmethod
    def forward(ctx, terms: tuple, form: str, eps: float, *views: Tensor):
        with torch.autocast(views[0].device.type, enabled=False):
            rows, width = views[0].shape
            grams = _Grams(views, terms) if form == 'gram' else None
            blocks = _blocks(terms, views[0]) if grams else [(0, width)] if width else []
            scaled = _buffers(blocks, views)
            scratch = _buffers(blocks, views[:1])[0]
            scales = [z.new_empty(width) for z in views]
            means = [z.new_empty(width) for z in views]
            diagonals = [views[0].new_zeros(term.stop - term.start) for term in terms]
            for start, stop in blocks:
                columns = slice(0, stop - start)
                block = [x[:, columns] for x in scaled]
                for z, out, mean, scale in zip(views, block, means, scales):
                    mean[start:stop], scale[start:stop] = standardize(z[:, start:stop], eps, out, scratch[:, columns])
                for term, diagonal in zip(terms, diagonals):
                    low, high = max(term.start, start), min(term.stop, stop)
                    if low < high:
                        part = slice(low - start, high - start)
                        torch.mul(block[term.first][:, part], block[term.second][:, part], out=scratch[:, part])
                        diagonal[low - term.start:high - term.start] = scratch[:, part].mean(dim=0)
                if grams:
                    grams.add(start, stop, block)
            values, matrices = [], []
            for term, diagonal in zip(terms, diagonals):
                # Sums of many numbers in double: the differences below must keep single precision.
                if grams:
                    product = grams.get(term.first, term.start, term.stop) * grams.get(term.second, term.start, term.stop)
                    off = product.sum(dtype=torch.float64) / rows**2 - diagonal.double().square().sum()
                else:
                    columns = slice(term.start, term.stop)
                    matrix = (scaled[term.first][:, columns].T @ scaled[term.second][:, columns]).div_(rows).fill_diagonal_(0)
                    # Row by row in single, the rows in double: no copy of the matrix, no loss over K^2 summands.
                    off = torch.linalg.vector_norm(matrix, dim=1).double().square().sum()
                    matrices.append(matrix)
                values.append((diagonal.double() - term.target).square().sum() + term.lambd * off)
            ctx.terms, ctx.grams, ctx.blocks, ctx.counts = terms, grams, blocks, (len(views), len(terms))
            ctx.save_for_backward(*(views if grams else scaled), *means, *scales, *diagonals, *matrices)
            ctx.mark_non_differentiable(*diagonals)
            return (torch.stack(values).to(views[0].dtype), *diagonals)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_values: Tensor, *_):
        n_views, n_terms = ctx.counts
        saved = iter(ctx.saved_tensors)
        views, means, scales = ([next(saved) for _ in range(n_views)] for _ in range(3))
        diagonals = [next(saved) for _ in range(n_terms)]
        matrices = list(saved)
        rows, terms, grams = len(views[0]), ctx.terms, ctx.grams
        with torch.autocast(views[0].device.type, enabled=False):
            # Through the squares. d/dZa of sum C^2 is 2 (Zb ZbT) Za / n^2, or 2 Zb C^T / n.
            factors = {}
            for index, term in enumerate(terms):
                weight = grad_values[index] * (2 * term.lambd / rows)
                if not grams or not term.lambd or term.start == term.stop:
                    continue
                for own, other in ((term.first, term.second), (term.second, term.first)):
                    factor = grams.get(other, term.start, term.stop) * (weight / rows)
                    for part in grams.parts(own, term.start, term.stop):
                        factors[own, part] = factors[own, part] + factor if (own, part) in factors else factor
            # Through the diagonals: of sum (d - t)^2 - lambda d^2 where the squares above include them, else of sum (d - t)^2.
            slopes = [(d * (1 - (term.lambd if grams else 0.)) - term.target).mul_(grad * (2 / rows))
                      for term, d, grad in zip(terms, diagonals, grad_values)]
            grads = [torch.empty_like(z) for z in views]
            scaled = _buffers(ctx.blocks, views) if grams else views
            partial, (scratch, ) = _buffers(ctx.blocks, views), _buffers(ctx.blocks, views[:1])
            for start, stop in ctx.blocks:
                columns = slice(0, stop - start)
                z, grad = ([x[:, columns] for x in tensors] for tensors in (scaled, partial))
                for own in range(n_views):
                    grad[own].zero_()
                    if grams:
                        apply_standardization(views[own][:, start:stop], means[own][start:stop], scales[own][start:stop], z[own])
                for (own, part), factor in factors.items():
                    if part[0] <= start and stop <= part[1]:
                        grad[own].addmm_(factor, z[own])
                for index, (term, slope) in enumerate(zip(terms, slopes)):
                    low, high = max(term.start, start), min(term.stop, stop)
                    if low >= high:
                        continue
                    part = slice(low - start, high - start)
                    za, zb, ga, gb = z[term.first][:, part], z[term.second][:, part], grad[term.first][:, part], grad[term.second][:, part]
                    slope = slope[low - term.start:high - term.start]
                    ga.addcmul_(zb, slope)
                    gb.addcmul_(za, slope)
                    if matrices and term.lambd:
                        weight = grad_values[index] * (2 * term.lambd / rows)
                        ga.addmm_(zb * weight, matrices[index].T)
                        gb.addmm_(za * weight, matrices[index])
                for own in range(n_views):
                    # Through the standardisation. Its other part, the mean of the gradient over the rows, is 0: every summand above
                    # is a combination of standardised columns.
                    inner = torch.mul(grad[own], z[own], out=scratch[:, columns]).mean(dim=0)
                    grad[own].addcmul_(z[own], inner, value=-1)
                    torch.mul(grad[own], scales[own][start:stop], out=grads[own][:, start:stop])
        return (None, None, None, *grads)


def _buffers(blocks: list, views: list) -> list:
    """An uninitialised tensor ``(n, B)`` for every view, wide enough for every block of columns."""
    width = max((stop - start for start, stop in blocks), default=0)
    return [z.new_empty(len(z), width) for z in views]


def _blocks(terms: tuple, z: Tensor) -> list:
    """Column ranges that no term cuts; on a CPU also small enough for about ten arrays of them to stay in the cache."""
    width = z.shape[1]
    edges = {0, width, *(edge for term in terms for edge in (term.start, term.stop))}
    if z.device.type == 'cpu':
        # Half a MiB an array in single precision, but not so few columns that calls outweigh the arithmetic.
        edges.update(range(0, width, max(256, 2**17 // len(z))))
    edges = sorted(edges)
    return list(zip(edges, edges[1:]))


class _Grams:
    """Gram matrices of column ranges; where parts of a range are asked for too, it is their sum."""

    def __init__(self, views: tuple, terms: tuple):
        self.sums, self.nothing = {}, views[0].new_zeros(()).expand(len(views[0]), len(views[0]))
        self.edges = [sorted({edge for term in terms if view in (term.first, term.second) for edge in (term.start, term.stop)})
                      for view in range(len(views))]

    def parts(self, view: int, start: int, stop: int) -> list:
        """The ranges that make up ``start:stop`` of a view, cut wherever a term of that view begins or ends."""
        edges = self.edges[view]
        return [(a, b) for a, b in zip(edges, edges[1:]) if start <= a and b <= stop]

    def add(self, start: int, stop: int, block: list) -> None:
        """Add the columns ``start:stop`` of every view, ``(n, stop - start)`` each, to the part they belong to."""
        for view, z in enumerate(block):
            for part in zip(self.edges[view], self.edges[view][1:]):
                if part[0] <= start and stop <= part[1]:
                    if (view, part) in self.sums:
                        self.sums[view, part].addmm_(z, z.T)
                    else:
                        self.sums[view, part] = z @ z.T

    def get(self, view: int, start: int, stop: int) -> Tensor:
        """``Z Z^T`` (n, n) of columns ``start:stop`` of a view."""
        parts = [self.sums[view, part] for part in self.parts(view, start, stop)]
        return sum(parts[1:], parts[0]) if parts else self.nothing


def correlation_terms(views: list, terms: list, form: str = 'auto', eps: float = 1e-5) -> tuple:
    """Values of terms over one set of rows.

    Args:
        views (list[Tensor]): Raw embeddings ``(n, K)``, float32 or float64, n at least 2. They are standardised here.
        terms (list[Term]): What to sum.
        form (str): ``'gram'``, ``'matrix'`` or ``'auto'``.
        eps (float): Of the standardisation.

    Returns:
        tuple[Tensor, list[Tensor]]: ``(len(terms),)`` values with a gradient, and each term's diagonal ``(stop - start,)`` without.
    """
    form = choose_form(form, *views[0].shape)
    values, *diagonals = _CorrelationTerms.apply(tuple(terms), form, eps, *views)
    return values, diagonals
