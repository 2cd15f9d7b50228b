"""What shows in the log whether embeddings collapse: cheap, without gradient, without a K x K matrix."""
from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def embedding_statistics(embeddings: Mapping, present: Mapping | None = None) -> dict:
    r"""Effective rank and spread of every modality's first view.

    - ``rank_<m>``: the participation ratio :math:`(\sum \sigma_i^2)^2 / \sum \sigma_i^4` of the centred embeddings' singular values: how
      many directions carry the variance, 1 to min(N - 1, K); 0 if all embeddings are the same. It comes from the Gram matrix.
    - ``spread_<m>``: :math:`\sqrt K` times the mean standard deviation of a dimension of the length-normalised embeddings (as Chen and He,
      SimSiam, 2021, plot it): 1 where they lie all around the sphere, 0 if they all point the same way.

    Args:
        embeddings (dict[str, tuple[Tensor, ...]]): Views ``(N, K)`` of the whole batch.
        present (dict[str, Tensor], optional): ``(N,)`` bool. With fewer than 2 samples both are 0.

    Returns:
        dict[str, Tensor]: Scalars.
    """
    out = {}
    for name, (z, *_) in embeddings.items():
        z = z.detach()
        if present is not None:
            z = z[present[name]]
        if len(z) < 2:
            out[f'rank_{name}'] = out[f'spread_{name}'] = z.new_zeros(())
            continue
        with torch.autocast(z.device.type, enabled=False):
            out[f'rank_{name}'] = _participation_ratio(z)
            unit = torch.nn.functional.normalize(z, dim=1)
            out[f'spread_{name}'] = unit.std(dim=0, correction=0).mean() * unit.shape[1]**0.5
    return out


def _participation_ratio(z: Tensor) -> Tensor:
    centred = z - z[:1]
    centred = centred - centred.mean(dim=0)
    gram = centred @ centred.T
    trace, squares = gram.trace(), gram.norm()
    return torch.where(squares > 0, trace / squares, torch.zeros_like(trace)).square()
