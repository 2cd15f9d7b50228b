"""Match the components of a file (:mod:`~decur.weights.formats`) with those of a model.

A component is an encoder, an attention, a projector, the decoder. It is taken whole or not at all:

* in the file and in the model: every key and shape must agree;
* only in the model (the decoder, when encoders are converted): initialised as the config says, and reported;
* only in the file (a classifier, the projector of a pretraining run): left out, and reported.

Attention inside a stream is never left out, because the encoder was trained with it.
"""
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from ..errors import WeightsError, some
from .formats import FAMILIES, Parsed, family_of
from .strict import check_fit


def assign(parsed: Parsed, names: Sequence[str], channels: Mapping, modality: str | None = None) -> dict:
    """Which encoder of the file goes to which modality of the model.

    Encoders that are named go to the modality of that name; two unnamed ones in order. A single unnamed one goes to ``modality``, else to
    the only modality that fits, else (where it came with a classifier, so it was trained on natural images) to all that fit.

    Args:
        parsed (Parsed): The file.
        names (Sequence[str]): The model's modalities in order.
        channels (Mapping[str, int]): Their channels.
        modality (str, optional): The user's choice: ``'sar'``; for a file with several encoders only that modality is taken.

    Returns:
        dict[str, key of parsed.encoders]: By modality.

    Raises:
        WeightsError: If there is no such modality, or the choice is not clear.
    """
    if modality is not None and modality not in names:
        raise WeightsError(f'no modality {modality!r} in the config; it has {list(names)}.')
    keys = list(parsed.encoders)
    if parsed.single:
        if modality is not None:
            return {modality: 0}
        fitting = [name for name in names if channels[name] == parsed.encoders[0].in_channels]
        if len(names) == 1:
            return {names[0]: 0}
        if len(fitting) == 1:
            return {fitting[0]: 0}
        if parsed.dropped and fitting:  # it had a classifier: ImageNet weights, which may start every stream
            return {name: 0 for name in fitting}
        raise WeightsError(f'{parsed.path} is one encoder with {parsed.encoders[0].in_channels} input channels; the config has '
                           f'{dict(channels)}. Say which modality it is for: --modality NAME, or pretrained=dict(NAME=FILE).')
    if all(isinstance(key, int) for key in keys):
        if len(names) != len(keys) and modality is None:
            raise WeightsError(f'{parsed.path} has {len(keys)} encoders, the config the modalities {list(names)}; cannot tell which is '
                               'which.')
        pairs = dict(zip(names, keys))
    else:
        pairs = {name: name for name in names if name in parsed.encoders}
    if modality is not None:
        pairs = {name: key for name, key in pairs.items() if name == modality}
    if not pairs:
        raise WeightsError(f'{parsed.path} has encoders for {keys}, the config for {list(names)}: none in common.')
    return pairs


def stream_state(parsed: Parsed, name: str, channels: Mapping, source: str = '', named: bool = False, attention: str = 'own') -> dict:
    """One stream out of a file, as ``backbone.pretrained`` takes it.

    Args:
        parsed (Parsed): The file.
        name (str): The modality.
        channels (Mapping[str, int]): Channels of the model's modalities, in order.
        source (str): Which encoder of the file: a modality of this project's checkpoints; of a file with two encoders that name none
            ``'1'`` or ``'2'``, which is needed where the model has another number of modalities.
        named (bool): The user named this modality, so a single encoder is meant for it.
        attention (str): See :func:`fit`.

    Returns:
        dict[str, Tensor]: Keys relative to the stream (``encoder.*``, ``attention.*``, ``head.*``).

    Raises:
        WeightsError: If there is no such encoder, or it is not clear which one is meant.
    """
    path, key = parsed.path, source or name
    if all(isinstance(known, str) for known in parsed.encoders):
        if key not in parsed.encoders:
            raise WeightsError(f'{path} has no encoder for modality {key!r}; it has {sorted(parsed.encoders)}.')
    elif source:
        if not source.isdigit() or int(source) - 1 not in parsed.encoders:
            raise WeightsError(f'{path} is {parsed.kind}; name its encoders by number, {path}::1 for the first. Got {source!r}.')
        key = int(source) - 1
    elif len(parsed.encoders) == 2 and len(channels) != 2:
        raise WeightsError(f'{path} is {parsed.kind}; say which encoder modality {name!r} takes: {path}::1 or {path}::2.')
    elif parsed.single and named:
        key = 0
    else:
        pairs = assign(parsed, list(channels), channels)
        if name not in pairs:
            raise WeightsError(f'{path} is {parsed.kind} and fits modality {list(pairs)}, not {name!r}. Name the modality it is for: '
                               f'pretrained=dict({next(iter(pairs))}={path!r}).')
        key = pairs[name]
    return {f'{part}.{inner}': value for part in parsed.encoders[key].parts
            for inner, value in _giver(parsed, key, part, attention).parts[part].items()}


def _giver(parsed: Parsed, key, part: str, attention: str):
    """The encoder of the file that a part is taken from."""
    return parsed.encoders[0] if attention == 'first' and part.startswith('attention.') else parsed.encoders[key]


_COMPONENTS = (r'backbone\.streams\.\w+\.(encoder|head|attention\.\d+)(?=\.)', r'neck\.projectors\.\w+(?=\.)',
               r'backbone\.(interactions|fusion)(?=\.)', r'[^.]+(?=\.)')


def components(model: nn.Module) -> dict:
    """A model's state dict by component: ``{prefix: {key below it: tensor}}``."""
    out = {}
    for key, value in model.state_dict().items():
        prefix = next((match[0] for match in (re.match(pattern, key) for pattern in _COMPONENTS) if match), '')
        out.setdefault(prefix, {})[key[len(prefix):].lstrip('.')] = value
    return out


@dataclass
class Report:
    """What became of every component.

    Attributes:
        kind (str): What the file was.
        taken (dict[str, str]): Component of the model: where it came from and how many tensors.
        initialised (dict[str, int]): Component of the model that the file does not have: number of tensors.
        left_out (dict[str, str]): Component or key of the file that the model does not have: why.
    """

    kind: str
    taken: dict = field(default_factory=dict)
    initialised: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)

    def __str__(self):
        lines = [f'read as {self.kind}']
        lines += [f'  taken        {name}: {what}' for name, what in self.taken.items()]
        lines += [f'  initialised  {name}: {count} tensors, not in the file' for name, count in self.initialised.items()]
        lines += [f'  left out     {name}: {why}' for name, why in self.left_out.items()]
        return '\n'.join(lines)


def fit(parsed: Parsed, model: nn.Module, modality: str | None = None, attention: str = 'own') -> tuple:
    """Bring a file's weights into a model's names.

    Args:
        parsed (Parsed): From :func:`~decur.weights.formats.parse`.
        model (nn.Module): A model with a :class:`~decur.models.MultimodalBackbone`. Components that the file lacks are taken from it as
            it is, so initialise it first.
        modality (str, optional): See :func:`assign`.
        attention (str): For the published joint ResNet-RDA: ``'own'`` gives each modality its own attention (the second one's was never
            trained, because the published code ran both through the first one's); ``'first'`` gives both the first one's, which is what the
            published encoders were trained with.

    Returns:
        tuple[dict, Report]: A state dict for ``load_state_dict(strict=True)``, and what happened.

    Raises:
        WeightsError: If a key of a component is missing, surplus or of another shape.
    """
    streams = getattr(getattr(model, 'backbone', None), 'streams', None)
    if streams is None:
        raise WeightsError('the config\'s model has no MultimodalBackbone; weights are converted for models of this project.')
    if attention == 'first' and not (parsed.both and all('attention.2' in encoder.parts for encoder in parsed.encoders.values())):
        raise WeightsError(f'{parsed.path} is {parsed.kind}: only a published checkpoint with both encoders and their attention '
                           '(da1_l3.*, da2_l3.*) can give both the first one\'s.')
    pairs = assign(parsed, list(streams), {name: stream.channels for name, stream in streams.items()}, modality)
    _check_families(parsed, pairs, streams)
    report = Report(parsed.kind)
    source, origin = {}, {}
    for name, key in pairs.items():
        encoder = parsed.encoders[key]
        for part in encoder.parts:
            giver = _giver(parsed, key, part, attention)
            source[f'backbone.streams.{name}.{part}'] = giver.parts[part]
            origin[f'backbone.streams.{name}.{part}'] = giver.origin
        if key in parsed.projectors:
            source[f'neck.projectors.{name}'] = parsed.projectors[key]
    for key, encoder in parsed.encoders.items():
        if key not in pairs.values():
            report.left_out[f'encoder {encoder.origin}'] = 'no modality of the config takes it'
    if modality is None:
        source.update(parsed.rest)
    target = components(model)
    for prefix, state in source.items():
        if prefix not in target and '.attention.' in prefix:
            raise WeightsError(f'{parsed.path} ({parsed.kind}) does not fit the model of the config: its encoder was trained with this '
                               f'attention, and the config has none there: {prefix} ({len(state)} tensors). Use a config with RDA.')
    found = {}
    for prefix, own in target.items():
        if prefix in source:
            report.taken[prefix] = f'{len(source[prefix])} tensors from {origin.get(prefix, "the file")}'
        else:
            report.initialised[prefix] = len(own)
        found.update({f'{prefix}.{key}' if prefix else key: value for key, value in source.get(prefix, own).items()})
    report.left_out.update({prefix: f'{len(state)} tensors; the model has no such part' for prefix, state in source.items()
                            if prefix not in target})
    for why in dict.fromkeys(parsed.dropped.values()):
        keys = [key for key, reason in parsed.dropped.items() if reason == why]
        report.left_out[some(keys, 1)] = why
    wanted = model.state_dict()
    check_fit(wanted, found, f'{parsed.path} ({parsed.kind})', cure='Use a config with the encoders, channels and classes of the file.')
    # What fits may still lack the counters of batch norms (files older than PyTorch 0.4.1).
    return {key: found.get(key, value).clone() for key, value in wanted.items()}, report


def _check_families(parsed: Parsed, pairs: Mapping, streams: Mapping) -> None:
    """Raise :class:`WeightsError` for an encoder of another architecture, where a list of every key would hide what is wrong."""
    for name, key in pairs.items():
        found = parsed.encoders[key].family or family_of(parsed.encoders[key].parts.get('encoder', {}))
        wanted = family_of(streams[name].encoder.state_dict())
        if found and wanted and found.split('.')[0] != wanted.split('.')[0]:
            found, wanted = (FAMILIES[family.split('.')[0]] for family in (found, wanted))
            raise WeightsError(f'{parsed.path} ({parsed.kind}) holds a {found}, but the encoder of modality {name!r} in the config is a '
                               f'{wanted}: it does not fit, and nothing was written. Use a config with a {found}.')
