"""VICReg across modalities (Bardes et al., 2022, arXiv 2105.04906)."""
from collections.abc import Mapping

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from .decur import with_gram
from .objective import Batch, ObjectiveHead, evaluate, sum_over_pairs


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
        sim_coeff, std_coeff, cov_coeff (float): Weights of invariance, variance and covariance. Default to 25, 25 and 1.
        form, grad_reduce, present: See :func:`~decur.models.decur_loss`.
        eps (float): Added to the variance. Defaults to 1e-4.

    Returns:
        dict[str, Tensor]: Scalars ``loss`` and its weighted terms ``loss_{invariance,variance,covariance}_<a>_<b>``.

    Raises:
        ConfigError, DataError: As :func:`~decur.models.decur_loss`.
    """
    objective = MultimodalVICRegHead(sim_coeff, std_coeff, cov_coeff, form, eps).objective
    return evaluate(objective, embeddings, present, 1, grad_reduce)[0]


@MODELS.register_module()
class MultimodalVICRegHead(ObjectiveHead):
    """:func:`vicreg_loss` as a head, with its options. The log shows the weighted terms of every pair."""

    def __init__(self, sim_coeff: float = 25., std_coeff: float = 25., cov_coeff: float = 1., form: str = 'auto', eps: float = 1e-4,
                 **kwargs):
        super().__init__(**kwargs)
        self.coefficients, self.form, self.eps = (sim_coeff, std_coeff, cov_coeff), form, eps

    def objective(self, batch: Batch) -> tuple:
        """See :class:`ObjectiveHead`."""
        return sum_over_pairs(batch, self._terms, ('invariance', 'variance', 'covariance'))

    def _terms(self, za: Tensor, zb: Tensor) -> tuple:
        (variance_a, covariance_a), (variance_b, covariance_b) = self._variance_covariance(za), self._variance_covariance(zb)
        terms = F.mse_loss(za, zb), (variance_a + variance_b) / 2, covariance_a + covariance_b
        return tuple(coefficient * term for coefficient, term in zip(self.coefficients, terms))

    def _variance_covariance(self, z: Tensor) -> tuple:
        n, width = z.shape
        z, gram = with_gram(z - z.mean(dim=0), self.form, width)
        variance = z.square().sum(dim=0) / (n - 1)
        if gram is None:
            matrix = z.T @ z / (n - 1)
            squares = (matrix - matrix.diagonal().diag()).square().sum()
        else:  # the sum of all squares from the Gram matrix, as in DeCUR, less those of the diagonal
            squares = (gram.square().sum(dtype=torch.float64) / (n - 1)**2 - variance.double().square().sum()).to(z.dtype)
        return torch.relu(1 - torch.sqrt(variance + self.eps)).mean(), squares / width
