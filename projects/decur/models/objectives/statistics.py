"""What the log shows beside the terms, so that a collapse is seen: cheap, without gradient and without a K x K matrix."""
from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def embedding_statistics(embeddings: Mapping, present: Mapping | None = None) -> dict:
    r"""Participation ratio and spread of every modality's first view.

    - ``participation_ratio_<m>``: :math:`(\sum \lambda_i)^2 / \sum \lambda_i^2` of the eigenvalues of the embeddings' covariance matrix:
      how many directions carry the variance, 1 to min(N - 1, K); 0 if all embeddings are the same. It is computed from the Gram matrix.
      (The effective rank of Roy and Vetterli, 2007, which :mod:`decur.evaluation` reports, is the exponential of an entropy and larger.)
    - ``spread_<m>``: :math:`\sqrt K` times the mean standard deviation of a dimension of the length-normalised embeddings (as Chen and He,
      SimSiam, 2021, plot it): 1 where they lie all around the sphere, 0 if they all point the same way.

    Args:
        embeddings (dict[str, tuple[Tensor, ...]]): Views ``(N, K)`` of the whole batch.
        present (dict[str, Tensor], optional): ``(N,)`` bool. With fewer than 2 samples both are 0.

    Returns:
        dict[str, Tensor]: Scalars.
    """
    ratios, spreads = {}, {}
    for name, (z, *_) in embeddings.items():
        z = z.detach() if present is None else z.detach()[present[name]]
        ratios[name] = spreads[name] = z.new_zeros(())
        if len(z) > 1:
            with torch.autocast(z.device.type, enabled=False):
                ratios[name] = _participation_ratio(z)
                unit = torch.nn.functional.normalize(z, dim=1)
                spreads[name] = unit.std(dim=0, correction=0).mean() * unit.shape[1]**0.5
    return {f'{key}_{name}': values[name] for name in embeddings
            for key, values in (('participation_ratio', ratios), ('spread', spreads))}


def _participation_ratio(z: Tensor) -> Tensor:
    centred = z - z[:1]  # exactly 0 where all rows are the same
    centred = centred - centred.mean(dim=0)
    gram = centred @ centred.T
    trace, squares = gram.trace(), gram.norm()
    return torch.where(squares > 0, trace / squares, torch.zeros_like(trace)).square()


def mean_diagonals(diagonals: Mapping) -> dict:
    """``diag_<term>``: 1 where dimensions are aligned, 0 where they are decorrelated. A term without dimensions is left out.

    Args:
        diagonals (dict[str, Tensor]): The diagonal of the cross-correlation matrix of every term.

    Returns:
        dict[str, Tensor]: float32 scalars.
    """
    return {f'diag_{name}': diagonal.mean().float() for name, diagonal in diagonals.items() if diagonal.numel()}
