"""Models from configs: as they are built, or with a checkpoint, loaded strictly."""
import copy
from collections.abc import Mapping

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import nn

from decur.binding import bind
from decur.datasets import MultimodalDataset
from decur.datasets.labels import LabelTable, default_palette
from decur.engine import load_config
from decur.weights import load_file, load_strict, unwrap
from decur.weights.convert import build_model as build_untrained
from decur.weights.sources import fetch
from decur.weights.streams import check_bands


def build_model(config, options: Mapping | None = None) -> nn.Module:
    """Build the model of a config, with its modalities.

    It is what ``MODELS.build`` gives: call ``model.init_weights()`` for the initialisation that the config asks for.

    Args:
        config (str | Path | Config): Config file, or a config that was read.
        options (dict, optional): Overrides of the config by dotted key, for example ``{'modalities.rgb.encoder.init_cfg': None}``.

    Returns:
        nn.Module: In training mode.

    Raises:
        ConfigError: If there is no such file, or the config's modalities are wrong.
    """
    cfg = read_config(config, options)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    return MODELS.build(bind(cfg).model)


def read_config(config, options: Mapping | None = None) -> Config:
    """A config file, or a copy of a config that was read, with overrides by dotted key."""
    if not isinstance(config, Config):
        return load_config(str(config), options)
    cfg = copy.deepcopy(config)
    cfg.merge_from_dict(dict(options or {}))
    return cfg


def load_model(config, checkpoint, device='cpu', options: Mapping | None = None) -> tuple:
    """Build the model of a config, load a checkpoint, every key of it, and switch to evaluation.

    Args:
        config (str | Config): Config file, or a config that was read.
        checkpoint (str): Checkpoint of this model: a file, or another source of :func:`~decur.weights.sources.fetch`.
        device (str): Where the model goes. Defaults to ``'cpu'``.
        options (dict, optional): Overrides of the config by dotted key.

    Returns:
        tuple: The model and its config.

    Raises:
        WeightsError: If a key of the model is not in the checkpoint, one of the checkpoint not in the model, a shape differs, or it was
            trained on the same bands in another order.
    """
    cfg = read_config(config, options)
    model = build_untrained(cfg)
    path = fetch(checkpoint)
    content = load_file(path)
    load_strict(model, unwrap(content, checkpoint), checkpoint)
    check_bands(model, content, path, checkpoint)
    return model.to(torch.device(device)).eval(), cfg


def label_meta(cfg: Config) -> dict:
    """``classes`` and ``palette`` of a config's test (or training) data, without reading them."""
    for key in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (cfg.get(key) or {}).get('dataset')
        if not dataset:
            continue
        kind, options = DATASETS.get(dataset['type']), {name: value for name, value in dataset.items() if name != 'type'}
        if kind and issubclass(kind, MultimodalDataset):
            table = kind.label_table_of(**options)
        else:
            own, given = getattr(kind, 'METAINFO', {}), options.get('metainfo') or {}
            table = LabelTable(own.get('classes', ()), own.get('palette'), classes=given.get('classes'), palette=given.get('palette'))
        if table.classes:
            return dict(classes=table.classes, palette=table.palette)
    count = cfg.model.decode_head.num_classes
    return dict(classes=tuple(str(i) for i in range(count)), palette=default_palette(count))
