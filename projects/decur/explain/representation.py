"""The quantities that saliency is taken of: the mean common and the mean unique embedding of one modality."""
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from decur.errors import ConfigError, check_choice
from decur.evaluation.decoupling import blocks, split_of
from decur.modalities import check_names

#: Where a model is looked at: after the projector, or before it.
LEVELS = ('embedding', 'encoder')


def represent(model: nn.Module, inputs: Mapping[str, Tensor], level: str = 'embedding') -> dict:
    """Embeddings or encoder features.

    Args:
        model: a :class:`~decur.models.MultimodalPretraining` (or anything with its ``extract_feat`` and ``extract_embeddings``).
        inputs: {modality: (N, C, H, W)}, normalized.
        level: ``embedding`` or ``encoder``.

    Returns:
        dict: {modality: (N, K)}.
    """
    check_choice('level', level, LEVELS)
    return model.extract_embeddings(inputs) if level == 'embedding' else model.extract_feat(inputs)


def blocks_of(model: nn.Module, dims: int, level: str = 'embedding') -> dict:
    """The named blocks of a model's dimensions.

    ``common``, those of some modalities and ``unique`` where the objective knows them; ``all`` for other objectives and for encoder
    features, which have no such split.
    """
    return blocks(dims, split_of(getattr(model, 'head', None)) if level == 'embedding' else None)


class BlockMeans(nn.Module):
    """One modality's images to the mean of each block of its standardized representation, (N, C, H, W) to (N, blocks).

    Algorithm 2 standardizes with a batch norm. Here its statistics are constants, as in a batch norm in eval mode: the output of a
    sample, and so its attribution, depends on that sample alone, and Integrated Gradients add up to a difference of outputs.

    Args:
        model: see :func:`represent`; it is put into eval mode.
        modality: whose images go in.
        blocks: {name: slice of dimensions}.
        mean: (K,) of the representation over the data.
        std: (K,).
        level: ``embedding`` or ``encoder``.
        others: {modality: (N, C, H, W)} of the other modalities, where the streams interact; constants.
        layer: name of the submodule whose output Grad-CAM looks at, a map (N, C, h, w) or tokens (N, L, C). Defaults to the map
            after the stage of :attr:`stage`.

    Attributes:
        tap (nn.Module): an identity through which the map passes as (N, C, h, w): the layer for captum.
        stage (int): the stage whose map passes the tap, where no layer is named. At first the last one; :func:`~decur.explain.grad_cam`
            steps back from a map that the feature does not depend on (that of a ViT, whose feature is the class token).

    Raises:
        ConfigError: On an unknown modality or layer.
    """

    def __init__(self, model: nn.Module, modality: str, blocks: Mapping[str, slice], mean: np.ndarray, std: np.ndarray,
                 level: str = 'embedding', others: Mapping[str, Tensor] | None = None, layer: str | None = None, eps: float = 1e-5):
        super().__init__()
        check_names([modality], model.modalities)
        self.model, self.modality, self.blocks, self.level = model.eval(), modality, dict(blocks), level
        self.others, self.layer = dict(others or {}), layer
        self.tap = nn.Identity()
        self.stage = model.backbone.streams[modality].num_stages - 1
        parameter = next(model.parameters())
        as_tensor = lambda v: torch.as_tensor(np.asarray(v), dtype=parameter.dtype, device=parameter.device)  # noqa: E731
        self.register_buffer('mean', as_tensor(mean), persistent=False)
        self.register_buffer('scale', (as_tensor(std) ** 2 + eps).rsqrt(), persistent=False)
        if layer is not None:
            check_layer(model, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Means (N, blocks) in the order of ``blocks``."""
        # Integrated Gradients evaluate whole batches, one behind the other: the other modalities are repeated along.
        inputs = {self.modality: x, **{name: other.repeat(len(x) // len(other), 1, 1, 1) for name, other in self.others.items()}}
        with self._tapped(x.shape[-2:]):
            z = represent(self.model, inputs, self.level)[self.modality]
        z = (z - self.mean) * self.scale
        return torch.stack([z[:, part].mean(dim=1) for part in self.blocks.values()], dim=1)

    @contextmanager
    def _tapped(self, image_size: tuple):
        """Lead the map through the tap: as one more attention after the stage, or by a hook on the layer."""
        if self.layer is not None:
            hook = self.model.get_submodule(self.layer).register_forward_hook(lambda m, i, out: self._through_tap(out, image_size))
            try:
                yield
            finally:
                hook.remove()
            return
        attention, key = self.model.backbone.streams[self.modality].attention, str(self.stage)
        own = attention[key] if key in attention else None
        attention[key] = self.tap if own is None else nn.Sequential(own, self.tap)
        try:
            yield
        finally:
            if own is None:
                del attention[key]
            else:
                attention[key] = own

    def _through_tap(self, out: Tensor, image_size: tuple) -> Tensor:
        """Send a layer's output through the tap, tokens as the map that they are of."""
        if not isinstance(out, Tensor) or out.ndim not in (3, 4):
            raise ConfigError(f'layer {self.layer!r} gives neither a map (N, C, h, w) nor tokens (N, L, C).')
        if out.ndim == 4:
            return self.tap(out)
        height, width, extra = token_grid(out.shape[1], image_size)
        tokens = out[:, extra:].transpose(1, 2).reshape(len(out), -1, height, width)
        tokens = self.tap(tokens).flatten(2).transpose(1, 2)
        return torch.cat([out[:, :extra], tokens], dim=1) if extra else tokens


def check_layer(model: nn.Module, layer: str) -> None:
    """Refuse the name of a layer that the model does not have.

    Raises:
        ConfigError: With layers of the same last name.
    """
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        near = [name for name in names if name.split('.')[-1] == layer.split('.')[-1]]
        raise ConfigError(f'the model has no layer {layer!r}' + (f'; layers of that last name: {", ".join(near[:8])}' if near else '') +
                          f'. Names are those of model.named_modules(), for example {names[-1]}.')


def token_grid(length: int, image_size: tuple) -> tuple:
    """Height, width and number of leading extra tokens (class tokens) of L tokens of an image (H, W).

    Raises:
        ConfigError: If L is no grid of the image's proportions plus at most 5 tokens.
    """
    for extra in range(6):
        rest = length - extra
        if rest < 1:
            break
        height = max(1, round((rest * image_size[0] / image_size[1]) ** 0.5))
        if rest % height == 0 and abs(rest // height / height - image_size[1] / image_size[0]) < 0.05 * image_size[1] / image_size[0]:
            return height, rest // height, extra
    raise ConfigError(f'{length} tokens are no grid of an image of {tuple(image_size)}: choose another layer.')
