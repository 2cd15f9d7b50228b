"""A trained model from its config and checkpoint, loaded strictly."""
from collections.abc import Mapping

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from decur.engine import load_config
from decur.weights import load_file, load_strict, unwrap
from decur.weights.convert import build_model


def load_model(config, checkpoint, device='cpu', options: Mapping | None = None) -> tuple:
    """Build the model of a config, load a checkpoint, every key of it, and switch to evaluation.

    Args:
        config (str | Config): Config file, or a config that was read.
        checkpoint (str): Checkpoint file of this model.
        device (str): Where the model goes. Defaults to ``'cpu'``.
        options (dict, optional): Overrides of the config by dotted key.

    Returns:
        tuple: The model and its config.

    Raises:
        WeightsError: If a key of the model is not in the checkpoint, one of the checkpoint not in the model, or a shape differs.
    """
    if isinstance(config, Config):
        cfg = config
        cfg.merge_from_dict(dict(options or {}))
    else:
        cfg = load_config(str(config), options)
    model = build_model(cfg)
    load_strict(model, unwrap(load_file(checkpoint), checkpoint), checkpoint)
    return model.to(torch.device(device)).eval(), cfg


def label_meta(cfg: Config) -> dict:
    """``classes`` and ``palette`` of a config's test (or training) data."""
    for key in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (cfg.get(key) or {}).get('dataset')
        if dataset:
            kind = DATASETS.get(dataset['type'])
            meta = {**(kind.METAINFO if kind else {}), **(dataset.get('metainfo') or {})}
            if 'classes' in meta:
                if 'palette' not in meta or len(meta['palette']) != len(meta['classes']):
                    own = list(kind.METAINFO.get('classes', ()))
                    meta['palette'] = [kind.METAINFO['palette'][own.index(c)] if c in own else _colour(i)
                                       for i, c in enumerate(meta['classes'])]
                return dict(classes=tuple(meta['classes']), palette=[list(colour) for colour in meta['palette']])
    count = cfg.model.decode_head.num_classes
    return dict(classes=tuple(str(i) for i in range(count)), palette=[_colour(i) for i in range(count)])


def _colour(i: int) -> list:
    """A colour for class i, all different: the bits of i + 1 spread over red, green and blue from the highest bit down."""
    colour, value = [0, 0, 0], i + 1
    for bit in range(8):
        for channel in range(3):
            colour[channel] |= ((value >> channel) & 1) << (7 - bit)
        value >>= 3
    return colour
