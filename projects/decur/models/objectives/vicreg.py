"""VICReg across modalities (Bardes et al., 2022, arXiv 2105.04906)."""
from collections.abc import Mapping

import torch
from mmengine.registry import MODELS
from torch import Tensor

from .correlation import choose_form
from .head import ObjectiveHead
from .pairs import gather_first_views, over_pairs, total_of


def vicreg_loss(embeddings: Mapping,
                sim_coeff: float = 25.,
                std_coeff: float = 25.,
                cov_coeff: float = 1.,
                *,
                form: str = 'auto',
                grad_reduce: str = 'exact',
                present: Mapping | None = None,
                eps: float = 1e-4) -> dict:
    r"""Invariance, variance and covariance over pairs of modalities, between their first views.

    For a pair of embeddings Z, Z' (N, K), as in the authors' code: invariance is the mean squared difference; variance is the mean over
    dimensions of :math:`\max(0, 1 - \sqrt{\mathrm{Var}(z_j) + \epsilon})`, averaged over Z and Z'; covariance is
    :math:`\sum_{i \neq j} \mathrm{Cov}(Z)_{ij}^2 / K`, summed over Z and Z'. Variances are unbiased.

    Args:
        embeddings (dict[str, Sequence[Tensor]]): At least one view ``(N, K)`` by modality; the first is read.
        sim_coeff (float): Weight of the invariance. Defaults to 25.
        std_coeff (float): Weight of the variance. Defaults to 25.
        cov_coeff (float): Weight of the covariance. Defaults to 1.
        form (str): How the squares are summed: over the ``'gram'`` (N x N) or the ``'matrix'`` (K x K). Same value. Defaults to ``'auto'``.
        grad_reduce (str): See :func:`~decur.models.decur_loss`. Defaults to ``'exact'``.
        present (dict[str, Tensor], optional): ``(N,)`` bool by modality. A pair is related on the samples that have both.
        eps (float): Defaults to 1e-4.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and its weighted terms ``loss_{invariance,variance,covariance}_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`.
    """
    return _vicreg_loss(embeddings, (sim_coeff, std_coeff, cov_coeff), form, grad_reduce, present, eps)[0]


def _vicreg_loss(embeddings, coefficients, form, grad_reduce, present, eps) -> tuple:
    embeddings, present = gather_first_views(embeddings, present, grad_reduce)
    choose_form(form, 2, 2)  # complains about an unknown one even where no pair is computed

    def pair(za: Tensor, zb: Tensor) -> dict:
        variances, covariances = zip(*(_variance_covariance(z, form, eps) for z in (za, zb)))
        invariance = torch.nn.functional.mse_loss(za, zb)
        return dict(
            invariance=coefficients[0] * invariance,
            variance=coefficients[1] * sum(variances) / 2,
            covariance=coefficients[2] * sum(covariances))

    return total_of(over_pairs(embeddings, present, pair)), embeddings, present


def _variance_covariance(z: Tensor, form: str, eps: float) -> tuple:
    rows, width = z.shape
    centred = z - z.mean(dim=0)
    variance = centred.square().sum(dim=0) / (rows - 1)
    hinge = torch.relu(1 - torch.sqrt(variance + eps)).mean()
    if choose_form(form, rows, width) == 'gram':
        # Sum of all squares of Cov from the Gram matrix, less the diagonal's; see objectives/correlation.py.
        gram = centred @ centred.T
        off = (gram.square().sum(dtype=torch.float64) / (rows - 1)**2 - variance.double().square().sum()).to(z.dtype)
    else:
        matrix = centred.T @ centred / (rows - 1)
        off = (matrix - torch.diag(matrix.diagonal())).square().sum()
    return hinge, off / width


@MODELS.register_module()
class MultimodalVICRegHead(ObjectiveHead):
    """:func:`vicreg_loss` as a head. The log shows the weighted terms of every pair.

    Args:
        sim_coeff (float): Defaults to 25.
        std_coeff (float): Defaults to 25.
        cov_coeff (float): Defaults to 1.
        form (str): Defaults to ``'auto'``.
        eps (float): Defaults to 1e-4.
        **kwargs: As :class:`ObjectiveHead`.
    """

    def __init__(self, sim_coeff: float = 25., std_coeff: float = 25., cov_coeff: float = 1., form: str = 'auto', eps: float = 1e-4,
                 **kwargs):
        super().__init__(**kwargs)
        self.coefficients, self.form, self.eps = (sim_coeff, std_coeff, cov_coeff), form, eps

    def objective(self, embeddings: Mapping, present: Mapping | None) -> tuple:
        """See :class:`ObjectiveHead`."""
        out, embeddings, present = _vicreg_loss(embeddings, self.coefficients, self.form, self.grad_reduce, present, self.eps)
        return out, {}, embeddings, present
