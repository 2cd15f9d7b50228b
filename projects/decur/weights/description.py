"""Which descriptions in a checkpoint may become objects: a closed list.

A checkpoint describes its encoders in words (:mod:`~decur.weights.metadata`), and OpenMMLab's registries build whatever a ``type``
names: a dotted path reaches any callable of any installed module. A file is not trusted with that. Every type in a description must stand
in the lists below, every argument must be one of that type's, and every value must be plain. A config, in contrast, is code, and may name
anything.
"""
import inspect
import math
import re
from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS, TRANSFORMS

from ..errors import WeightsError

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
_PASSED_ON = {'CrossDA': 'DA'}
_SCOPES = ('mmengine', 'mmcv', 'mmpretrain', 'mmseg')
#: Arguments that read files or load weights by themselves.
_REFUSED_ARGUMENTS = frozenset({'pretrained', 'plugins', 'checkpoint', 'checkpoint_path'})
#: No encoder of this project is larger; a claim beyond it only takes memory.
_LARGEST = 1 << 16
_TEXT = {'channel_order', 'interpolation'}
_NUMBERS = {'mean', 'std'}


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
        raise WeightsError(f'{path}: refused, because its description {error}. Name a config that you trust instead (config=...): its '
                           'types are not limited.') from error


class _Refused(ValueError):
    pass


def _check(found: Mapping) -> dict:
    _plain(found, 'it')
    out = dict(found)
    if not isinstance(out.get('modalities'), Mapping) or not out['modalities']:
        raise _Refused('has no modalities')
    for name, entry in out['modalities'].items():
        if not isinstance(name, str) or not name.isidentifier() or not isinstance(entry, Mapping):
            raise _Refused(f'has a modality {str(name)[:40]!r} that is no named entry')
        _check_entry(f'modalities.{name}', entry)
    _stages('interactions', out.get('interactions'), INTERACTIONS)
    for key in ('version', 'objective'):
        if not isinstance(out.get(key), str | None):
            raise _Refused(f'has {key}={out[key]!r}, which is no text')
    initialised = out.get('initialised') or ()
    if isinstance(initialised, str) or not all(isinstance(part, str) for part in initialised):
        raise _Refused('has initialised, which is no list of names')
    return out


def _check_entry(where: str, entry: Mapping) -> None:
    channels = entry.get('channels')
    if type(channels) is not int or not 1 <= channels <= 4096:
        raise _Refused(f'has {where}.channels={channels!r}, which is no number from 1 to 4096')
    for key in _TEXT & entry.keys():
        if not isinstance(entry[key], str):
            raise _Refused(f'has {where}.{key}={entry[key]!r}, which is no text')
    for key in _NUMBERS & entry.keys():
        values = entry[key]
        if isinstance(values, str) or not isinstance(values, Sequence) or not all(type(v) in (int, float) for v in values):
            raise _Refused(f'has {where}.{key}, which is no list of numbers')
    bands = entry.get('bands') or ()
    if isinstance(bands, str) or not all(isinstance(band, str) for band in bands):
        raise _Refused(f'has {where}.bands, which is no list of names')
    steps = entry.get('radiometry') or ()
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise _Refused(f'has {where}.radiometry, which is no list of steps')
    for i, step in enumerate(steps):
        _typed(f'{where}.radiometry[{i}]', step, RADIOMETRY, TRANSFORMS)
    if entry.get('encoder') is not None:
        _typed(f'{where}.encoder', entry['encoder'], ENCODERS, MODELS)
    _stages(f'{where}.attention', entry.get('attention'), ATTENTION)
    features = entry.get('feature_channels')
    if features is not None and (type(features) is not int or not 1 <= features <= _LARGEST):
        raise _Refused(f'has {where}.feature_channels={features!r}, which is no number from 1 to {_LARGEST}')


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
    if not isinstance(cfg, Mapping) or name not in allowed or (scope and scope not in _SCOPES):
        raise _Refused(f'names {kind!r} as {where}, which is not among {", ".join(allowed)}')
    arguments = _arguments(registry.get(kind))
    if name in _PASSED_ON:
        arguments |= _arguments(registry.get(_PASSED_ON[name]))
    for key, value in cfg.items():
        if key == 'type':
            continue
        if key not in arguments or key in _REFUSED_ARGUMENTS:
            raise _Refused(f'gives {where} ({name}) the argument {key!r}, which a file may not')
        _values(f'{where}.{key}', value)


def _arguments(kind: type) -> set:
    """Names of the arguments that a class and its bases take."""
    names = set()
    for base in kind.__mro__:
        if '__init__' in vars(base) and base is not object:
            parameters = inspect.signature(base.__init__).parameters.values()
            names.update(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    return names - {'self'}


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


def _plain(value, where: str, depth: int = 0) -> None:
    """Only dicts, lists, text, finite numbers, booleans and None, not deeper than a config is."""
    if depth > 12:
        raise _Refused(f'is nested too deep at {where}')
    if isinstance(value, Mapping):
        for key, item in value.items():
            _plain(item, f'{where}.{str(key)[:40]}', depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _plain(item, where, depth + 1)
    elif not (value is None or isinstance(value, str | bool | int | float)) or (isinstance(value, float) and not math.isfinite(value)):
        raise _Refused(f'holds {value!r} at {where}, which is no plain value')
