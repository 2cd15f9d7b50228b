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


def standardize(z: Tensor, eps: float, scratch: Tensor | None = None) -> tuple:
    """Batch normalisation without affine: zero mean and unit (biased) variance of every column.

    A constant column gives exactly 0: its first row is subtracted before the mean is taken, so no rounding is blown up.

    Args:
        z (Tensor): ``(n, K)``.
        eps (float): Added to the variance.
        scratch (Tensor, optional): ``(n, K)`` to be overwritten: a fresh large array costs more than the arithmetic on it.

    Returns:
        tuple[Tensor, Tensor]: ``(n, K)`` standardised, and ``(K,)`` 1 / standard deviation.
    """
    centred = z - z[:1]
    centred -= centred.mean(dim=0)
    scale = torch.mul(centred, centred, out=scratch).mean(dim=0).add_(eps).rsqrt_()
    return centred.mul_(scale), scale


class _CorrelationTerms(torch.autograd.Function):
    """All terms over one set of rows. One function for the standardisation, the sums and their gradients.

    It shares between terms what plain autograd would compute again: a Gram matrix of all columns is the sum of those of its parts, and
    each view's gradient is one product per part, whatever number of terms it enters.
    """

    @staticmethod
    def forward(ctx, terms: tuple, form: str, eps: float, *views: Tensor):
        with torch.autocast(views[0].device.type, enabled=False):
            scratch = torch.empty_like(views[0], memory_format=torch.contiguous_format)
            scaled, scales = zip(*(standardize(z, eps, scratch) for z in views))
            rows = len(views[0])
            values, diagonals, kept = [], [], []
            grams = _Grams(scaled, terms) if form == 'gram' else None
            for term in terms:
                za = scaled[term.first][:, term.start:term.stop]
                zb = scaled[term.second][:, term.start:term.stop]
                if form == 'gram':
                    diagonal = torch.mul(za, zb, out=scratch[:, term.start:term.stop]).mean(dim=0)
                    product = grams.get(term.first, term.start, term.stop) * grams.get(term.second, term.start, term.stop)
                    # Sums of many numbers in double: the difference below must keep single precision.
                    squares = product.sum(dtype=torch.float64) / rows**2
                    off = squares - diagonal.double().square().sum()
                else:
                    matrix = (za.T @ zb).div_(rows)
                    diagonal = matrix.diagonal().clone()
                    matrix.fill_diagonal_(0)
                    # Row by row in single, the rows in double: no copy of the matrix, no loss over K^2 summands.
                    off = torch.linalg.vector_norm(matrix, dim=1).double().square().sum()
                    kept.append(matrix)
                on = (diagonal.double() - term.target).square().sum()
                values.append(on + term.lambd * off)
                diagonals.append(diagonal)
            ctx.terms, ctx.form, ctx.counts = terms, form, (len(views), len(terms))
            ctx.grams = grams
            ctx.save_for_backward(*scaled, *scales, *diagonals, *kept)
            ctx.mark_non_differentiable(*diagonals)
            return (torch.stack(values).to(views[0].dtype), *diagonals)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_values: Tensor, *_):
        n_views, n_terms = ctx.counts
        saved = ctx.saved_tensors
        scaled, scales = saved[:n_views], saved[n_views:2 * n_views]
        diagonals, matrices = saved[2 * n_views:2 * n_views + n_terms], saved[2 * n_views + n_terms:]
        rows = len(scaled[0])
        with torch.autocast(scaled[0].device.type, enabled=False):
            grads = [torch.zeros_like(z) for z in scaled]
            scratch = torch.empty_like(scaled[0])
            weights = [{} for _ in scaled]
            for index, term in enumerate(ctx.terms):
                if term.start == term.stop:
                    continue
                columns = slice(term.start, term.stop)
                weight = grad_values[index] * (2 / rows)
                # Through the diagonal: d/dZa of sum (d - t)^2 - lambda d^2 (Gram form; the squares below include the diagonal), or
                # of sum (d - t)^2 (matrix form).
                lost = term.lambd if ctx.form == 'gram' else 0.
                on = (diagonals[index] * (1 - lost) - term.target).mul_(weight)
                for own, other in ((term.first, term.second), (term.second, term.first)):
                    grads[own][:, columns].addcmul_(scaled[other][:, columns], on)
                if not term.lambd:
                    continue
                if ctx.form == 'gram':
                    # d/dZa of sum C^2 is 2 (Zb ZbT) Za / n^2: collect the n x n factor for every part of the columns.
                    for own, other in ((term.first, term.second), (term.second, term.first)):
                        factor = ctx.grams.get(other, term.start, term.stop) * (weight * (term.lambd / rows))
                        for part in ctx.grams.parts(own, term.start, term.stop):
                            weights[own][part] = weights[own][part] + factor if part in weights[own] else factor
                else:
                    weight = weight * term.lambd
                    za, zb = scaled[term.first][:, columns], scaled[term.second][:, columns]
                    grads[term.first][:, columns].addmm_(zb * weight, matrices[index].T)
                    grads[term.second][:, columns].addmm_(za * weight, matrices[index])
            for own, factors in enumerate(weights):
                for (start, stop), factor in factors.items():
                    grads[own][:, start:stop].addmm_(factor, scaled[own][:, start:stop])
            for z, scale, grad in zip(scaled, scales, grads):
                # Through the standardisation. Its other part, the mean of the gradient over the rows, is 0: every summand above is a
                # combination of standardised columns.
                inner = torch.mul(grad, z, out=scratch).mean(dim=0)
                grad.addcmul_(z, inner, value=-1).mul_(scale)
        return (None, None, None, *grads)


class _Grams:
    """Gram matrices of column ranges, each computed once; where parts are asked for too, the whole is their sum."""

    def __init__(self, scaled: tuple, terms: tuple):
        self.scaled, self.known = scaled, {}
        self.asked = {(view, term.start, term.stop) for term in terms for view in (term.first, term.second)}

    def parts(self, view: int, start: int, stop: int) -> list:
        """The ranges that make up ``start:stop`` of a view, cut wherever a term of that view begins or ends."""
        edges = sorted({edge for v, *range_ in self.asked if v == view for edge in range_ if start <= edge <= stop})
        return list(zip(edges, edges[1:]))

    def get(self, view: int, start: int, stop: int) -> Tensor:
        """``Z Z^T`` (n, n) of columns ``start:stop`` of a view."""
        key = (view, start, stop)
        if key not in self.known:
            parts = self.parts(view, start, stop)
            if len(parts) > 1 and all((view, *part) in self.asked for part in parts):
                self.known[key] = sum(self.get(view, *part) for part in parts)
            else:
                z = self.scaled[view][:, start:stop]
                self.known[key] = z @ z.T
        return self.known[key]


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
