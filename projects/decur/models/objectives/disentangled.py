"""DisentangledSSL (Wang, Gupta, Zhang, Tonekaboni, Jaakkola and Uhler, ICLR 2025, arXiv 2410.23996) with common and unique dimensions."""
from collections.abc import Callable
from itertools import combinations, permutations

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError

from .batch import Batch
from .clip import cross_entropies
from .objective import ObjectiveHead


@MODELS.register_module()
class DisentangledSSLHead(ObjectiveHead):
    r"""What modalities share by contrast between them, what is left by contrast between views, given the shared part.

    With Z_c the common and Z_u the unique dimensions of an embedding and [,] for their concatenation, the terms are

    - ``shared_<a>_<b>``: the contrast of Z_c of a and b, plus ``beta`` times the mean of 1 - cosine between them, a bound of what Z_c says
      of one modality that the other does not (but for a factor, the divergence of two von Mises-Fisher distributions of one concentration);
    - ``specific_<m>``: the contrast between the two views of m of [Z_u of m, Z_c of another modality], averaged over the others;
    - ``orthogonal_<m>``: ``lambd`` times the Frobenius norm of :math:`Z_u^T Z_c`, both normalised by sample, averaged over the views.

    As published, the contrast of two sets is the mean of the two cross-entropies of cosines over the other set, and no gradient reaches Z_c
    from the last two. The authors train the parts in two steps with encoders of their own and draw Z_c around its direction with a
    concentration of 1000; here one encoder trains for both at a time, without the draw.

    Args:
        common_dim (int): Number of common dimensions, 1 to K - 1.
        temperature (float): Above 0. Defaults to 0.07.
        beta (float), lambd (float): See above. Default to 0.1 and 1.
        **kwargs: As :class:`ObjectiveHead`.

    Raises:
        ConfigError: If an option is not valid or, in training, a block is empty.
    """

    num_views = 2

    def __init__(self, common_dim: int, temperature: float = 0.07, beta: float = 0.1, lambd: float = 1., **kwargs):
        super().__init__(**kwargs)
        if not temperature > 0 or not beta >= 0 or not lambd >= 0:
            raise ConfigError(f'temperature must be above 0, beta and lambd at least 0, got {temperature!r}, {beta!r} and {lambd!r}.')
        self.common_dim, self.temperature, self.beta, self.lambd = common_dim, temperature, beta, lambd

    def objective(self, batch: Batch) -> tuple:
        """See :class:`ObjectiveHead`."""
        common = self.common_dim
        if isinstance(common, bool) or not isinstance(common, int) or not 0 < common < batch.width:
            raise ConfigError(f'common_dim must be in 1..{batch.width - 1} (the embedding width is {batch.width}), got {common!r}.')
        terms: dict = {}
        for a, b in combinations(batch.views, 2):
            za, zb = (batch.rows(m, 0, (a, b))[:, :common] for m in (a, b))
            apart = 1 - F.cosine_similarity(za, zb).mean() if len(za) else 0.
            terms[f'shared_{a}_{b}'] = contrast(za, zb, self.temperature) + self.beta * apart
        terms.update(specific_contrasts(batch, common, self.temperature))
        for m in batch.views:
            views = [batch.rows(m, view, (m, )) for view in range(2)]
            norms = [torch.linalg.matrix_norm(F.normalize(z[:, common:]).T @ F.normalize(z[:, :common].detach())) for z in views]
            terms[f'orthogonal_{m}'] = self.lambd * sum(norms) / 2
        return sum(terms.values()), terms, {}


def contrast(za: Tensor, zb: Tensor, temperature: float) -> Tensor:
    """Each row of one set is to find its own in the other, both ways; 0 without rows."""
    if not len(za):
        return za.sum() + zb.sum()
    return cross_entropies(temperature)(za, zb)[0]


def specific_contrasts(batch: Batch, common: int, temperature: float, prepare: Callable = lambda z: z) -> dict:
    """``specific_<m>`` of :class:`DisentangledSSLHead`, of embeddings that ``prepare`` has changed."""
    terms: dict = {}
    for a, b in permutations(batch.views, 2):
        own, other = ([prepare(batch.rows(m, view, (a, b))) for view in range(2)] for m in (a, b))
        views = [torch.cat([own[view][:, common:], other[view][:, :common].detach()], dim=1) for view in range(2)]
        terms[f'specific_{a}'] = terms.get(f'specific_{a}', 0.) + contrast(*views, temperature) / (len(batch.views) - 1)
    return terms
