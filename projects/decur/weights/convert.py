"""A checkpoint of another project, or of another config, as one that a config's model loads with ``strict=True``."""
from collections.abc import Mapping

import torch
from mmengine.registry import MODELS
from torch import nn

from ..binding import bind
from .fit import components, fit
from .formats import parse
from .io import load_file
from .metadata import describe_config, read_notes
from .quiet import no_line_for_every_tensor
from .sources import fetch
from .streams import check_bands


def build_model(cfg, seed: int = 0) -> nn.Module:
    """A config's model with freshly initialised weights, none of them read from another checkpoint.

    Args:
        cfg (Config): The whole config.
        seed (int): Of the initialisation, so that a conversion repeats. The generator's state is kept. Defaults to 0.
    """
    from mmengine.registry import init_default_scope
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model_cfg = dict(bind(cfg)['model'])
    if model_cfg.get('backbone'):
        model_cfg['backbone'] = dict(model_cfg['backbone'], pretrained=None)
    with no_line_for_every_tensor(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS.build(model_cfg)
        for module in model.modules():
            init_cfg = getattr(module, 'init_cfg', None)
            if isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained':
                module.init_cfg = None
        model.init_weights()
    return model


def convert(source, cfg, modality: str | None = None, attention: str = 'own') -> tuple:
    """Read a file of :data:`~decur.weights.formats.KNOWN` and fit it to a config's model.

    Args:
        source (str or Path): The file, or another source of :func:`~decur.weights.sources.fetch`.
        cfg (Config): The config.
        modality (str, optional): See :func:`~decur.weights.fit.assign`.
        attention (str): See :func:`~decur.weights.fit.fit`.

    Returns:
        tuple[dict, Report]: A checkpoint ``dict(meta=..., state_dict=...)`` and what happened.
    """
    path = fetch(source)
    checkpoint = load_file(path)
    parsed = parse(checkpoint, str(source))
    model = build_model(cfg)
    state, report = fit(parsed, model, modality, attention)
    check_bands(model, checkpoint, path, source)
    described = describe_config(cfg)
    # What a file that was itself converted does not have stays untrained.
    before = read_notes(checkpoint, path)['initialised']
    untrained = [part for part in components(model) if part.startswith('backbone.') and (part in report.initialised or part in before)]
    if untrained:
        described['initialised'] = untrained
    meta = dict(converted_from=report.kind, initialised=list(report.initialised), left_out=dict(report.left_out), decur=described)
    return dict(meta=meta, state_dict=state), report
