"""CoMM (Dufumier, Castillo-Navarro, Tuia and Thiran, ICLR 2025, arXiv 2409.07402): contrast in a space where the modalities are fused."""
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError

from .batch import Batch
from .objective import ObjectiveHead
from .simclr import nt_xent


@MODELS.register_module()
class CoMMHead(ObjectiveHead):
    """Contrast between views of all modalities together, and of each modality alone with all together.

    The embeddings of a sample's modalities are tokens of a small transformer, whose class token gives, through a projector, one vector: of
    all modalities of a view, Z, or of one of them alone, Z_m. With ' for the second view, the terms are

    - ``all``: NT-Xent(Z, Z'), which keeps what the views agree on, whether one modality shows it, several, or only all together;
    - ``only_<m>``: the mean of NT-Xent(Z_m, Z') and NT-Xent(Z_m', Z), which keeps what a modality shows alone.

    Set ``neck.num_layers=1``: a linear map from features to tokens. What is evaluated here is the encoders, as for all objectives; the
    authors evaluate the class token (:meth:`fuse`).

    Args:
        width (int): That of the tokens: ``neck.out_channels``.
        num_heads (int): Of the transformer's attention; divides the width. Defaults to 8.
        num_layers (int): Of the transformer. Defaults to 1.
        out_channels (int): Width of Z. Defaults to 256.
        temperature (float): Above 0. Defaults to 0.1, as published.
        **kwargs: As :class:`ObjectiveHead`.

    Raises:
        ConfigError: If an option is not valid or, in training, the embeddings have another width.
    """

    num_views = 2

    def __init__(self, width: int, num_heads: int = 8, num_layers: int = 1, out_channels: int = 256, temperature: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ConfigError(f'temperature must be above 0, got {temperature!r}.')
        if width % num_heads:
            raise ConfigError(f'CoMMHead: width {width} cannot be divided into {num_heads} heads of attention.')
        self.width, self.temperature = width, temperature
        layer = nn.TransformerEncoderLayer(width, num_heads, 2 * width, dropout=0., activation='gelu', batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.projector = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, out_channels))

    def fuse(self, tokens: list) -> Tensor:
        """The transformer's class token ``(N, width)`` of the embeddings ``(N, width)`` of some modalities, which the authors evaluate."""
        tokens = torch.stack(tokens, dim=1)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1).to(tokens), tokens], dim=1)
        return self.transformer(tokens)[:, 0]

    def objective(self, batch: Batch) -> tuple:
        """See :class:`ObjectiveHead`; of samples that have all modalities."""
        if batch.width != self.width:
            raise ConfigError(f'CoMMHead has width={self.width}, the embeddings {batch.width}: give it neck.out_channels.')
        names = tuple(batch.views)
        views = [{m: batch.rows(m, view, names) for m in names} for view in range(2)]
        if not len(views[0][names[0]]):
            nothing = sum(z.sum() for view in views for z in view.values())
            return nothing, dict.fromkeys(('all', *(f'only_{m}' for m in names)), nothing), {}
        together = [self.projector(self.fuse(list(view.values()))) for view in views]
        terms = dict(all=nt_xent(*together, self.temperature))
        for m in names:
            alone = [self.projector(self.fuse([view[m]])) for view in views]
            terms[f'only_{m}'] = (nt_xent(alone[0], together[1], self.temperature) + nt_xent(alone[1], together[0], self.temperature)) / 2
        return sum(terms.values()), terms, {}
