"""Which descriptions in a checkpoint may become objects: a closed list.

A checkpoint describes its encoders in words (:mod:`~decur.weights.metadata`), and OpenMMLab's registries build whatever a ``type``
names: a dotted path reaches any callable of any installed module. A file is not trusted with that. Every type in a description must stand
in the lists below, every argument must be one of that type's, and every value must be plain. A config, in contrast, is code, and may name
anything.
"""
import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from mmengine.registry import MODELS, TRANSFORMS
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from ..errors import WeightsError, first_line
from ..registry import signature

#: Types by the place in a description where they may stand. The scope of a library may stand before a name (``mmpretrain.ResNet``).
ENCODERS = ('ResNet', 'ResNetV1c', 'ResNetV1d', 'ResNet_CIFAR', 'SmallResNet', 'ResNeXt', 'SEResNet', 'VisionTransformer',
            'DecurMixVisionTransformer')
ATTENTION = ('RDA', 'DA', 'CBAM')
INTERACTIONS = ('CMXRectification', 'CrossDA')
RADIOMETRY = ('RemoveOffset', 'CutOutliers', 'ToEightBit', 'PercentilesToEightBit', 'InsertEmptyBand')
#: What the arguments ``*_cfg`` of those types may name.
LAYERS = ('BN', 'BN1d', 'BN2d', 'SyncBN', 'MMSyncBN', 'GN', 'LN', 'LN2d', 'IN', 'ReLU', 'ReLU6', 'LeakyReLU', 'PReLU', 'GELU',
          'SiLU', 'Swish', 'HSwish', 'Conv', 'Conv2d', 'ConvWS', 'ConvAWS', 'DropPath', 'Dropout', 'Kaiming', 'Constant',
          'Normal', 'TruncNormal', 'Xavier', 'Uniform')

#: A type whose further arguments go to another one.
_PASSED_ON = {'CrossDA': ('DA', )}
_SCOPES = ('mmengine', 'mmcv', 'mmpretrain', 'mmseg')
#: Arguments that read files or load weights by themselves.
_REFUSED_ARGUMENTS = frozenset({'pretrained', 'plugins', 'checkpoint', 'checkpoint_path'})
#: No encoder of this project is larger; a claim beyond it only takes memory.
_LARGEST = 1 << 16


def _is_number(largest: int) -> tuple:
    return lambda value: type(value) is int and 1 <= value <= largest, f'number from 1 to {largest}'


def _is_list(what: str, *kinds: type) -> tuple:
    return lambda value: isinstance(value, list | tuple) and all(not kinds or type(item) in kinds for item in value), f'list of {what}'


_TEXT = (lambda value: isinstance(value, str)), 'text'
#: By key, at the top and in a modality's entry: whether a value is of its kind, and the kind in words.
_TOP = dict(version=_TEXT, objective=_TEXT, initialised=_is_list('names', str))
_ENTRY = dict(
    channels=_is_number(4096), feature_channels=_is_number(_LARGEST), channel_order=_TEXT, interpolation=_TEXT,
    bands=_is_list('names', str), mean=_is_list('numbers', int, float), std=_is_list('numbers', int, float), radiometry=_is_list('steps'))


def check_description(found: Mapping, path) -> dict:
    """Check what a checkpoint says of itself before anything is built from it.

    Args:
        found (dict): The description, as :func:`~decur.weights.metadata.describe` writes it.
        path (str or Path): The file, named in errors.

    Returns:
        dict: The same as plain values.

    Raises:
        WeightsError: If it names a type or an argument outside the closed list, or holds a value of another kind.
    """
    try:
        return _check(found)
    except _Refused as error:
        raise _refusal(path, error) from error


@contextlib.contextmanager
def without_memory(weights: Mapping, path) -> Iterator:
    """Modules that are built inside take no memory (their weights are on the meta device) and may not be far larger than the file.

    A description that claims a far larger model than lies in its file is found out here, before memory and time are spent on it.

    Args:
        weights (dict[str, Tensor]): All weights of the file.
        path (str or Path): The file, named in errors.

    Raises:
        WeightsError: If more parameters are registered than the file has, or a module cannot be built.
    """
    tensors, values = len(weights), sum(weight.numel() for weight in weights.values())
    seen = [0, 0]
    # A model that is a little larger is left to the comparison of keys, which says what is missing.
    limits = (2 * tensors + 100, 2 * values + 10**7)

    def count(module, name, parameter):
        if parameter is not None:
            seen[0] += 1
            seen[1] += parameter.numel()
            if seen[0] > limits[0] or seen[1] > limits[1]:
                raise _Refused(f'claims more weights than the file has: {tensors} tensors with {values:,} values')

    hook = register_module_parameter_registration_hook(count)
    try:
        with _OnMeta():
            yield
    except WeightsError:
        raise
    except Exception as error:  # a module's own checks of its arguments, or none: AssertionError, KeyError, TypeError, ...
        if isinstance(error, _Refused):
            raise _refusal(path, error) from error
        raise _refusal(path, f'cannot be built ({first_line(error)})') from error
    finally:
        hook.remove()


class _OnMeta(TorchFunctionMode):
    """Tensors that hold weights are made on the meta device; small ones that modules compute with (``torch.linspace``) are not."""

    _MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.normal, torch.empty_strided)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self._MAKERS:
            kwargs = dict(kwargs, device='meta')
        return func(*args, **kwargs)


class _Refused(ValueError):
    pass


def _refusal(path, why) -> WeightsError:
    return WeightsError(f'{path}: refused, because its description {why}. Name a config that you trust instead (config=...): its types are '
                        'not limited.')


def _check(found: Mapping) -> dict:
    out = _plain(found, 'it')
    _fits('', out, _TOP)
    if not isinstance(out.get('modalities'), Mapping) or not out['modalities']:
        raise _Refused('has no modalities')
    for name, entry in out['modalities'].items():
        if not isinstance(name, str) or not name.isidentifier() or not isinstance(entry, Mapping):
            raise _Refused(f'has a modality {str(name)[:40]!r} that is no named entry')
        _check_entry(f'modalities.{name}', entry)
    _stages('interactions', out.get('interactions'), INTERACTIONS)
    return out


def check_notes(found: Mapping, path) -> None:
    """Check what a description says beside its modalities: version, objective, and what was initialised.

    Raises:
        WeightsError: If one is of another kind.
    """
    try:
        _fits('', found, _TOP)
    except _Refused as error:
        raise WeightsError(f'{path}: its description is damaged: it {error}.') from error


def _fits(where: str, found: Mapping, table: Mapping) -> None:
    """The values of the keys in a table are of its kinds."""
    for key, (is_kind, kind) in table.items():
        value = dict.get(found, key)  # a dict out of a file may be of a subclass with methods of its own
        if not is_kind(value) and (value is not None or key == 'channels'):
            raise _Refused(f'has {where}{key}={str(value)[:80]!r}, which is no {kind}')


def _check_entry(where: str, entry: Mapping) -> None:
    _fits(f'{where}.', entry, _ENTRY)
    for key in ('mean', 'std'):
        values = entry.get(key)
        if values is not None and (len(values) not in (1, entry['channels']) or (key == 'std' and min(values) <= 0)):
            numbers = f'one number or {entry["channels"]}' + (' above 0' if key == 'std' else '')
            raise _Refused(f'has {where}.{key}={list(values)[:8]}, which must be {numbers}')
    for i, step in enumerate(entry.get('radiometry') or ()):
        _typed(f'{where}.radiometry[{i}]', step, RADIOMETRY, TRANSFORMS)
    if entry.get('encoder') is not None:
        _typed(f'{where}.encoder', entry['encoder'], ENCODERS, MODELS)
    _stages(f'{where}.attention', entry.get('attention'), ATTENTION)


def _stages(where: str, stages, allowed: Sequence) -> None:
    """A mapping of stages to modules."""
    if stages is None:
        return
    if not isinstance(stages, Mapping) or not all(re.fullmatch(r'\d{1,2}', str(stage)) for stage in stages):
        raise _Refused(f'has {where}, which is no mapping of stages')
    for stage, cfg in stages.items():
        _typed(f'{where}.{stage}', cfg, allowed, MODELS)


def _typed(where: str, cfg, allowed: Sequence, registry) -> None:
    """A dict with a type out of a closed list and arguments that this type has."""
    kind = cfg.get('type') if isinstance(cfg, Mapping) else cfg
    scope, _, name = kind.rpartition('.') if isinstance(kind, str) else ('', '', None)
    found = registry.get(kind) if name in allowed and (not scope or scope in _SCOPES) else None
    if not isinstance(cfg, Mapping) or found is None:
        raise _Refused(f'names {str(kind)[:80]!r} as {where}, which is not among {", ".join(allowed)}')
    kinds = [found, *(registry.get(other) for other in _PASSED_ON.get(name, ()))]
    arguments = {argument for kind in kinds for argument in signature(kind)[0]}
    for key, value in cfg.items():
        if key == 'type':
            continue
        if key not in arguments or key in _REFUSED_ARGUMENTS:
            raise _Refused(f'gives {where} ({name}) the argument {key!r}, which a file may not')
        expected = next((hints[key] for _, _, hints in map(signature, kinds) if key in hints), None)
        fits = value is None or type(value) is expected or (expected is float and type(value) is int)
        if expected in (int, float, str, bool) and not fits:
            raise _Refused(f'gives {where}.{key} the value {str(value)[:80]!r}, which is no {expected.__name__}')
        _values(f'{where}.{key}', value)


def _values(where: str, value) -> None:
    """An argument: plain, and every type inside it a layer."""
    if isinstance(value, Mapping):
        if 'type' in value and value['type'] not in LAYERS:
            raise _Refused(f'names {value["type"]!r} as {where}, which is not among {", ".join(LAYERS)}')
        for key, item in value.items():
            if key in _REFUSED_ARGUMENTS:
                raise _Refused(f'gives {where} the argument {key!r}, which a file may not')
            if key != 'type':
                _values(f'{where}.{key}', item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, item in enumerate(value):
            _values(f'{where}[{i}]', item)
    elif type(value) is int and abs(value) > _LARGEST:
        raise _Refused(f'has {where}={value}, which is beyond {_LARGEST}')


def _plain(value, where: str, depth: int = 0):
    """A copy in plain dicts and lists of nothing but text, finite numbers, booleans and None, not deeper than a config is."""
    if depth > 12:
        raise _Refused(f'is nested too deep at {where}')
    if isinstance(value, dict):
        # Only dict's own methods are called: a subclass out of a file may have others.
        return {key: _plain(item, f'{where}.{str(key)[:40]}', depth + 1) for key, item in dict.items(value)}
    if isinstance(value, list | tuple):
        return [_plain(item, where, depth + 1) for item in value]
    if value is None or type(value) in (str, bool, int) or (type(value) is float and math.isfinite(value)):
        return value
    raise _Refused(f'holds {str(value)[:80]!r} at {where}, which is no plain value')
