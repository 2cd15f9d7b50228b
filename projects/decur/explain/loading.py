"""The model of a config with the weights of a checkpoint, to be explained."""
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from decur.binding import bind
from decur.errors import ConfigError, WeightsError, check_choice
from decur.weights import load_file, load_strict, unwrap
from decur.weights.names import below
from decur.weights.quiet import no_line_for_every_tensor
from decur.weights.streams import check_bands, load_streams

from .representation import LEVELS


def load_explained(cfg: Config, checkpoint: str | Path | None, level: str = 'embedding') -> nn.Module:
    """Build the model of a config and load a checkpoint strictly.

    Args:
        cfg: of a pretraining, classification or segmentation run: what counts is ``model.backbone`` and, for embeddings, ``model.neck``.
        checkpoint: the file; None keeps the random initialisation.
        level: ``embedding`` needs the projectors; ``encoder`` takes the encoders alone, from any of the project's checkpoints.

    Returns:
        nn.Module: a :class:`~decur.models.MultimodalPretraining` in eval mode, with ``head`` where the config is of a pretraining.

    Raises:
        ConfigError: If the config has no projector and ``level`` is ``embedding``.
        WeightsError: If the checkpoint has none, or does not fit the config.
    """
    check_choice('level', level, LEVELS)
    offer = 'Encoder features can be looked at without it: level="encoder" (--level encoder on the command line).'
    model_cfg = bind(cfg).model
    if model_cfg.get('type') != 'MultimodalPretraining' or not model_cfg.get('neck'):
        if level == 'embedding':
            raise ConfigError('common and unique dimensions are those of a projector, and this config has none '
                              f'(model.type={model_cfg.get("type")!r}). Give the config of the pretraining. {offer}')
        model_cfg = dict(type='MultimodalPretraining', backbone=model_cfg.get('backbone'))
    backbone = dict(model_cfg['backbone'], pretrained=None)
    backbone.pop('fusion', None)
    model = MODELS.build(dict(model_cfg, backbone=backbone))
    if checkpoint is None:
        with no_line_for_every_tensor():
            model.init_weights()
    elif level == 'encoder':
        if len(model.backbone.interactions):
            content = load_file(checkpoint)
            load_strict(model.backbone, below(unwrap(content, checkpoint), 'backbone.'), checkpoint)
            check_bands(model, content, checkpoint, checkpoint)
        else:
            load_streams(model.backbone, str(checkpoint))
    else:
        content = load_file(checkpoint)
        state = unwrap(content, checkpoint)
        if not any(key.startswith('neck.') for key in state):
            raise WeightsError(f'{checkpoint} holds no projector (no key starts with "neck."), so it has no common and unique dimensions. '
                               f'Give the checkpoint of the pretraining run itself. {offer}')
        load_strict(model, state, checkpoint)
        check_bands(model, content, checkpoint, checkpoint)
    return model.eval()
