"""Binding: what a config says once, under its top-level ``modalities``, is given to every part that reads modality entries.

A part is any ``dict(type=...)`` of the config whose class takes an argument ``modalities``: the backbone, the data preprocessor and every
data set, however deep they lie (in wrappers, hooks, test-time augmentation). Configs stay as they were written: the runner of this project
(:class:`~decur.engine.MultimodalRunner`), :func:`decur.build_model` and :func:`decur.load` build from a bound copy.
"""
import copy
import inspect
from collections.abc import Mapping

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, MODELS

from .errors import ConfigError, closest
from .modalities import check_modalities
from .registry import signature
from .sensors import band_name


def bind(cfg):
    """A copy of a config in which every part has its modality entries.

    What a part says itself is merged over the top-level entry of that name, as a child config is over its base (a dict of another ``type``,
    or with ``_delete_``, replaces); None removes the modality from this part. An entry with ``channels`` is complete and is taken as it is,
    so binding twice changes nothing, and configs without a top-level ``modalities`` are left alone.

    Args:
        cfg (Config | dict): A whole config.

    Returns:
        Config | dict: The bound copy.

    Raises:
        ConfigError: If a top-level entry is wrong (see :func:`~decur.modalities.check_modalities`), or a part changes a modality that the
            top level does not have, or has its bands in another order.
    """
    bound = copy.deepcopy(cfg) if isinstance(cfg, Config) else _copy(cfg)
    shared = bound.get('modalities')
    if shared is not None:
        check_modalities(shared)
        scope = bound.get('default_scope') or 'mmengine'
        with MODELS.switch_scope_and_registry(scope) as models, DATASETS.switch_scope_and_registry(scope) as datasets:
            for key in list(bound.keys()):
                if key != 'modalities':
                    _visit(bound[key], shared, key, (models, datasets))
    return bound


def _copy(node):
    """A copy of dicts and lists; what has been built already (a model, a hook) stays the same object."""
    if isinstance(node, dict):
        return type(node)({key: _copy(value) for key, value in node.items()})
    return type(node)(_copy(item) for item in node) if type(node) in (list, tuple) else node


def _visit(node, shared: Mapping, where: str, registries) -> None:
    """Bind a part and all parts inside it."""
    if isinstance(node, Mapping):
        if _reads_modalities(node.get('type'), registries) and isinstance(node.get('modalities'), Mapping | None):
            node['modalities'] = _entries(node.get('modalities'), shared, where)
        for key, value in node.items():
            if key != 'modalities':
                _visit(value, shared, f'{where}.{key}', registries)
    elif isinstance(node, list | tuple):
        for i, item in enumerate(node):
            _visit(item, shared, f'{where}.{i}', registries)


def _reads_modalities(kind, registries) -> bool:
    """Whether a type (a name or a class) has an argument ``modalities``, itself or in a base class."""
    kinds = [registry.get(kind) for registry in registries] if isinstance(kind, str) else [kind]
    return any('modalities' in signature(kind)[0] for kind in kinds if inspect.isclass(kind))


def _entries(own: Mapping | None, shared: Mapping, where: str) -> ConfigDict:
    """A part's entries: the shared ones with its own merged over them."""
    own, everywhere = dict(own or {}), shared
    if own.pop('_delete_', False):
        shared = {}
    entries = ConfigDict()
    for name in dict.fromkeys((*shared, *own)):
        entry, change = shared.get(name, {}), own.get(name, {})
        if entry is None or change is None:
            continue  # removed
        if name not in shared and 'channels' not in change:
            raise ConfigError(f'{where}.modalities.{name} changes a modality that the config does not have{closest(name, shared)} '
                              f'Its modalities are {list(shared)}; a further one needs a whole entry, with channels.')
        entries[name] = _merge(change, {} if 'channels' in change else entry)
        _check_order(name, entries[name].get('bands'), (everywhere.get(name) or {}).get('bands'), where)
    try:
        check_modalities(entries)
    except ConfigError as error:
        raise ConfigError(f'{where}.modalities: {error}') from None
    return entries


def _check_order(name: str, own, shared, where: str) -> None:
    """Refuse a part that has a modality's bands in another order than the rest of the config: what one writes the other would misread."""
    if isinstance(own, str) or isinstance(shared, str) or not own or not shared:
        return
    found, wanted = ([band_name(str(band)) for band in bands] for bands in (own, shared))
    if found != wanted and sorted(found) == sorted(wanted):
        raise ConfigError(f'{where}.modalities.{name} has the bands {", ".join(found)}, modalities.{name} the same in the order '
                          f'{", ".join(wanted)}: one of the two would be misread. Leave bands out there, and let the reader choose them '
                          f'in that order: reader=dict(bands=[...]).')


def _merge(change, base):
    """``change`` over ``base``, as a copy."""
    if not isinstance(change, Mapping):
        return copy.deepcopy(change)
    change = dict(change)
    replaces = change.pop('_delete_', False) or not isinstance(base, Mapping) or change.get('type', base.get('type')) != base.get('type')
    base = {} if replaces else base
    keys = {**base, **change}
    return ConfigDict({key: _merge(change[key], base.get(key)) if key in change else copy.deepcopy(base[key]) for key in keys})
