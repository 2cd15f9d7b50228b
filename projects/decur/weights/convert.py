"""Checkpoints of others into the names of a config's model.

The path of a file: :func:`parse` finds out what it is and sorts its weights into *components* with this project's names below each; then
:func:`fit` lays the components beside the model's own and returns a state dict that ``load_state_dict(strict=True)`` takes, or stops with
every key that does not fit and the reason. A component is taken whole or not at all:

* in the file and in the model: every key and shape must agree;
* only in the model (the decoder, when encoders are converted): initialised as the config says, and reported;
* only in the file (a classifier, the projector of a pretraining run): left out, and reported.

Attention inside a stream is never left out, because the encoder was trained with it.
"""
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..binding import bind
from ..errors import WeightsError
from .io import load_file, unwrap
from .metadata import describe_config, read_metadata
from .names import mit_from_nvlabs, vit_from_timm

#: What can be read, for messages.
KNOWN = ('published DeCUR (joint or one encoder; ResNet, ResNet-RDA, ViT, MiT), CMX, NVlabs MiT (SegFormer), torchvision ResNet, timm ViT, '
         'OpenMMLab backbones and the checkpoints of this project')

#: Outputs of the classifier in SegFormer's files of MiT encoders.
_IMAGENET_CLASSES = 1000


@dataclass
class Encoder:
    """One encoder of a file, in the names of a stream.

    Attributes:
        origin (str): Where it lay in the file.
        family (str): ``'resnet'``, ``'vit'`` or ``'mit'``; None for this project's own files.
        parts (dict[str, dict]): ``encoder``, ``attention.<stage>``, ``head``: state dicts without prefix.
    """

    origin: str
    family: str | None
    parts: dict = field(default_factory=dict)

    @property
    def in_channels(self) -> int | None:
        """Input channels, from the first convolution."""
        return next((value.shape[1] for key, value in self.parts.get('encoder', {}).items()
                     if re.fullmatch(r'(stem\.0|conv1|patch_embed\.projection|layers\.0\.0\.projection)\.weight', key)), None)


@dataclass
class Parsed:
    """What a file holds.

    Attributes:
        kind (str): In words.
        path (str): The file.
        encoders (dict[str | int, Encoder]): By modality name in this project's files, else by position from 0.
        projectors (dict[str | int, dict]): Projector of each encoder.
        rest (dict[str, dict]): Other components by the prefix that they have in our models.
        dropped (dict[str, str]): Keys that are no weights of any model here, and why.
    """

    kind: str
    path: str
    encoders: dict = field(default_factory=dict)
    projectors: dict = field(default_factory=dict)
    rest: dict = field(default_factory=dict)
    dropped: dict = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether the file is one encoder that names no modality."""
        return list(self.encoders) == [0]

    @property
    def both(self) -> bool:
        """Whether the file is two encoders that name no modality."""
        return list(self.encoders) == [0, 1]


def parse(checkpoint: Mapping, path: str = 'checkpoint') -> Parsed:
    """Find out what a checkpoint is and sort its weights.

    Args:
        checkpoint (dict): As from :func:`~decur.weights.io.load_file`.
        path (str): Named in errors.

    Returns:
        Parsed: Its components.

    Raises:
        WeightsError: If it is none of :data:`KNOWN`, or a key fits into no component.
    """
    state = unwrap(checkpoint, path)
    path = str(path)
    if any(re.match(r'(backbone\.)?streams\.', key) for key in state):
        return _parse_own(state, path)
    if any(key.startswith('backbone.FRMs.') for key in state):
        return _parse_cmx(state, path)
    if any(key.startswith('backbone_1.') for key in state):
        return _parse_decur(state, path)
    if any(re.match(r'da[12]_l[34]\.', key) for key in state) or all(key.startswith('backbone.') for key in state):
        return _parse_prefixed(state, path)
    parsed = Parsed('', path)
    family = _family(state)
    if family is None and any(key.startswith('backbone.') for key in state):
        return _parse_prefixed(state, path)
    parsed.encoders[0] = _encoder(state, 'the whole file', parsed, path)
    parsed.kind = {'resnet': 'a torchvision ResNet', 'vit': 'a timm ViT', 'mit': 'an NVlabs MiT'}[parsed.encoders[0].family]
    if family in ('mit.mm', 'vit.mm'):
        parsed.kind = 'an OpenMMLab backbone'
    if 'head' in parsed.encoders[0].parts:
        parsed.kind = 'one encoder of a published DeCUR MiT'
    return parsed


_FAMILIES = {'resnet': 'ResNet', 'vit': 'Vision Transformer', 'mit': 'MiT'}


def _family(state: Mapping) -> str | None:
    """Which naming of which encoder the keys have."""
    marks = (('mit', 'patch_embed1.proj.weight'), ('mit.mm', 'layers.0.0.projection.weight'), ('vit', 'patch_embed.proj.weight'),
             ('vit.mm', 'patch_embed.projection.weight'), ('resnet', 'layer1.0.conv1.weight'))
    return next((family for family, mark in marks if mark in state), None)


def _encoder(state: Mapping, origin: str, parsed: Parsed, path: str, decur: bool = False) -> Encoder:
    """An encoder in our names out of a state dict without prefix; classifiers go to ``parsed.dropped``.

    A MiT's ``head`` is a classifier in SegFormer's files, and in DeCUR's the linear layer before the projector. Where the file does
    not say whose it is (``decur``), the width does.
    """
    family = _family(state)
    if family is None:
        raise WeightsError(f'{path}: {origin} is no encoder that is known here (first keys: {", ".join(list(state)[:4])}). Known: {KNOWN}.')
    body = dict(state)
    head = {}
    feature_head = family == 'mit' and 'head.weight' in state and (decur or len(state['head.weight']) != _IMAGENET_CLASSES)
    for key in state:
        if re.match(r'(head|fc|fc_norm|pre_logits|head_dist)\.', key):
            value = body.pop(key)
            if feature_head and key.startswith('head.'):
                head[key[len('head.'):]] = value
            else:
                parsed.dropped[key] = 'classifier of the pretraining task'
    if family == 'mit':
        body = mit_from_nvlabs(body)
    elif family == 'vit':
        body = vit_from_timm(body)
    encoder = Encoder(origin, family.split('.')[0], dict(encoder=body))
    if head:
        encoder.parts['head'] = head
    return encoder


def _below(state: Mapping, prefix: str) -> dict:
    return {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}


def _parse_own(state: Mapping, path: str) -> Parsed:
    """A model of this project: everything keeps its name."""
    parsed = Parsed('a checkpoint of this project', path)
    for key, value in state.items():
        if match := re.fullmatch(r'(?:backbone\.)?streams\.(\w+)\.(encoder|head|attention\.\d+)\.(.+)', key):
            encoder = parsed.encoders.setdefault(match[1], Encoder(match[1], None))
            encoder.parts.setdefault(match[2], {})[match[3]] = value
        elif match := re.fullmatch(r'neck\.projectors\.(\w+)\.(.+)', key):
            parsed.projectors.setdefault(match[1], {})[match[2]] = value
        else:
            match = re.fullmatch(r'(?:backbone\.)?(interactions|fusion)\.(.+)', key)
            component, rest = (f'backbone.{match[1]}', match[2]) if match else key.split('.', 1) if '.' in key else ('', key)
            parsed.rest.setdefault(component, {})[rest] = value
    return parsed


def _parse_decur(state: Mapping, path: str) -> Parsed:
    """The published DeCUR model with both encoders."""
    parsed = Parsed('a published DeCUR checkpoint with both encoders', path)
    for position in range(2):
        body = _below(state, f'backbone_{position + 1}.')
        if not body:
            raise WeightsError(f'{path}: has backbone_{2 - position} but no backbone_{position + 1}.')
        encoder = _encoder(body, f'backbone_{position + 1}', parsed, path, decur=True)
        parsed.dropped = {}
        for stage in (3, 4):
            if attention := _below(state, f'da{position + 1}_l{stage}.'):
                encoder.parts[f'attention.{stage - 1}'] = attention  # our names are the published ones
        parsed.encoders[position] = encoder
        if projector := _below(state, f'projector{position + 1}.'):
            parsed.projectors[position] = _projector(projector)
    if any('attention.2' in encoder.parts for encoder in parsed.encoders.values()):
        parsed.kind += ', ResNet-RDA'
    for key in state:
        if re.match(r'bn\.', key):
            parsed.dropped[key] = 'running statistics of the loss, which nothing reads'
        elif not re.match(r'(backbone_[12]|da[12]_l[34]|projector[12])\.', key):
            raise WeightsError(f'{path}: unknown key {key} in {parsed.kind}.')
    return parsed


def _projector(state: Mapping) -> dict:
    """``0, 1, 3, 4, 6`` of the published sequence to mmpretrain's ``fc0, bn0, fc1, bn1, fc2``."""
    out = {}
    for key, value in state.items():
        index, rest = key.split('.', 1)
        index = int(index)
        # Linear, BatchNorm, ReLU repeat with period 3.
        out[f'{"fc" if index % 3 == 0 else "bn"}{index // 3}.{rest}'] = value
    return out


def _parse_prefixed(state: Mapping, path: str) -> Parsed:
    """One encoder below ``backbone.``: the published backbone-only RDA files, and OpenMMLab checkpoints."""
    parsed = Parsed('an OpenMMLab checkpoint', path)
    encoder = _encoder(_below(state, 'backbone.'), 'backbone', parsed, path)
    for key, value in state.items():
        if match := re.fullmatch(r'da[12]_l([34])\.(.+)', key):
            parsed.kind = 'one encoder of a published DeCUR ResNet-RDA'
            encoder.parts.setdefault(f'attention.{int(match[1]) - 1}', {})[match[2]] = value
        elif match := re.match(r'(head|decode_head|auxiliary_head|neck)\.', key):
            parsed.dropped[key] = f'{match[1]} of another model'
        elif not key.startswith('backbone.'):
            raise WeightsError(f'{path}: unknown key {key} beside an encoder below "backbone.". Known: {KNOWN}.')
    parsed.encoders[0] = encoder
    return parsed


# The modules of a CMX stage: published name, ours. {n} is 1 or 2, ours counts from 0.
_CMX_FUSION = (
    (r'cross\.channel_proj(\d)\.', 'proj'), (r'cross\.cross_attn\.kv(\d)\.', 'kv'), (r'cross\.end_proj(\d)\.', 'end'),
    (r'cross\.norm(\d)\.', 'norm'),
)


def _parse_cmx(state: Mapping, path: str) -> Parsed:
    """The published CMX segmentor."""
    parsed = Parsed('a published CMX segmentor', path)
    streams = ({}, {})
    for key, value in state.items():
        if match := re.fullmatch(r'backbone\.(extra_)?((?:patch_embed|block|norm)\d.*)', key):
            streams[bool(match[1])][match[2]] = value
        elif match := re.fullmatch(r'backbone\.FRMs\.(\d)\.(channel|spatial)_weights\.mlp\.(.+)', key):
            parsed.rest.setdefault('backbone.interactions', {})[f'{match[1]}.{match[2]}.{match[3]}'] = value
        elif match := re.fullmatch(r'backbone\.FFMs\.(\d)\.(.+)', key):
            name = match[2]
            for pattern, ours in _CMX_FUSION:
                name = re.sub(f'^{pattern}', lambda m, ours=ours: f'{ours}.{int(m[1]) - 1}.', name)
            name = re.sub(r'^channel_emb\.channel_embed\.', 'embed.', name)
            name = re.sub(r'^channel_emb\.norm\.', 'merge_norm.', name)
            name = re.sub(r'^channel_emb\.', '', name)
            parsed.rest.setdefault('backbone.fusion', {})[f'stages.{match[1]}.{name}'] = value
        elif match := re.fullmatch(r'decode_head\.linear_c(\d)\.proj\.(.+)', key):
            parsed.rest.setdefault('decode_head', {})[f'embed.{int(match[1]) - 1}.{match[2]}'] = value
        elif match := re.fullmatch(r'decode_head\.linear_fuse\.([01])\.(.+)', key):
            parsed.rest.setdefault('decode_head', {})[f'fuse.{("conv", "bn")[int(match[1])]}.{match[2]}'] = value
        elif match := re.fullmatch(r'decode_head\.linear_pred\.(.+)', key):
            parsed.rest.setdefault('decode_head', {})[f'conv_seg.{match[1]}'] = value
        else:
            raise WeightsError(f'{path}: unknown key {key} in {parsed.kind} (only MiT encoders with the MLP decoder are known).')
    for position, body in enumerate(streams):
        parsed.encoders[position] = _encoder(body, ('backbone', 'backbone.extra_')[position], parsed, path)
    return parsed


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


def foreign_stream(checkpoint: Mapping, path: str, name: str, channels: Mapping, source: str = '', named: bool = False) -> dict:
    """One stream out of a checkpoint in another project's names, as ``backbone.pretrained`` takes it.

    Args:
        checkpoint (dict): As from :func:`~decur.weights.io.load_file`.
        path (str): Named in errors.
        name (str): The modality.
        channels (Mapping[str, int]): Channels of the model's modalities, in order.
        source (str): Which encoder of a file with two, ``'1'`` or ``'2'``; needed where the model has another number of modalities.
        named (bool): The user named this modality, so a single encoder is meant for it.

    Returns:
        dict[str, Tensor]: Keys relative to the stream (``encoder.*``, ``attention.*``, ``head.*``).

    Raises:
        WeightsError: If the file is nothing known, or it is not clear which encoder is meant.
    """
    parsed = parse(checkpoint, path)
    if source:
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
    return {f'{part}.{key}': value for part, state in parsed.encoders[key].parts.items() for key, value in state.items()}


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
    """Lay a file's weights into a model's names.

    Args:
        parsed (Parsed): From :func:`parse`.
        model (nn.Module): A model with a :class:`~decur.models.MultimodalBackbone`. Components that the file lacks are taken from it as
            it is, so initialise it first.
        modality (str, optional): See :func:`assign`.
        attention (str): For the published joint ResNet-RDA: ``'own'`` gives each modality its own attention (the second one's was never
            trained, because the published code ran both through the first one's); ``'first'`` gives both the first one's, which is what the
            published encoders were trained with.

    Returns:
        tuple[dict, Report]: A state dict for ``load_state_dict(strict=True)``, and what happened.

    Raises:
        WeightsError: With every key that is missing, surplus or of another shape.
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
            giver = parsed.encoders[0] if attention == 'first' and part.startswith('attention.') else encoder
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
    out, problems = {}, []
    for prefix, wanted in target.items():
        if prefix not in source:
            report.initialised[prefix] = len(wanted)
            found = wanted
        else:
            found = dict(source[prefix])
            for key, value in wanted.items():
                # torchvision files older than PyTorch 0.4.1 lack this counter.
                if key.endswith('num_batches_tracked') and key not in found:
                    found[key] = torch.zeros_like(value)
            problems += _differences(prefix, found, wanted)
            report.taken[prefix] = f'{len(source[prefix])} tensors from {origin.get(prefix, "the file")}'
        for key in wanted:
            if key in found:
                out[f'{prefix}.{key}' if prefix else key] = found[key].clone()
    for prefix, state in source.items():
        if prefix in target:
            continue
        if '.attention.' in prefix:
            problems.append(f'{prefix}.* ({len(state)} keys): the encoder was trained with this attention, the config has none there; '
                            'use a config with RDA')
        elif prefix.endswith('.encoder'):
            problems.append(f'{prefix}.*: the config has no such modality')
        else:
            report.left_out[prefix] = f'{len(state)} tensors; the model has no such part'
    for why in dict.fromkeys(parsed.dropped.values()):
        keys = [key for key, reason in parsed.dropped.items() if reason == why]
        report.left_out[keys[0] + (f' and {len(keys) - 1} more' if len(keys) > 1 else '')] = why
    if problems:
        shown = '\n  '.join(problems[:40] + ([f'... and {len(problems) - 40} more'] if len(problems) > 40 else []))
        raise WeightsError(f'{parsed.path} ({parsed.kind}) does not fit the model of the config; nothing was written. '
                           f'{len(problems)} difference(s):\n  {shown}')
    return out, report


def _check_families(parsed: Parsed, pairs: Mapping, streams: Mapping) -> None:
    """Raise :class:`WeightsError` for an encoder of another architecture, where a list of every key would hide what is wrong."""
    for name, key in pairs.items():
        found = parsed.encoders[key].family or _family(parsed.encoders[key].parts.get('encoder', {}))
        wanted = _family(streams[name].encoder.state_dict())
        if found and wanted and found.split('.')[0] != wanted.split('.')[0]:
            found, wanted = (_FAMILIES[family.split('.')[0]] for family in (found, wanted))
            raise WeightsError(f'{parsed.path} ({parsed.kind}) holds a {found}, but the encoder of modality {name!r} in the config is a '
                               f'{wanted}: it does not fit, and nothing was written. Use a config with a {found}.')


def _differences(prefix: str, found: Mapping, wanted: Mapping) -> list:
    problems = [f'{prefix}.{key}: missing in the file' for key in wanted if key not in found]
    problems += [f'{prefix}.{key}: surplus in the file' for key in found if key not in wanted]
    for key, value in wanted.items():
        if key in found and found[key].shape != value.shape:
            why = _shape_reason(key, found[key], value)
            problems.append(f'{prefix}.{key}: {tuple(found[key].shape)} in the file, {tuple(value.shape)} in the model{why}')
    return problems


def _shape_reason(key: str, found: Tensor, wanted: Tensor) -> str:
    if re.fullmatch(r'(conv1|patch_embed\.projection|layers\.0\.0\.projection)\.weight', key) and found.shape[0] == wanted.shape[0]:
        return (f' (trained on {found.shape[1]} channels, the modality has {wanted.shape[1]}; to start from it all the same, give the '
                "encoder init_cfg=dict(type='Pretrained', checkpoint=FILE, first_layer=...))")
    if key.startswith('conv_seg.'):
        return f' ({found.shape[0]} classes against {wanted.shape[0]})'
    if key == 'pos_embed':
        return ' (another image or patch size)'
    return ''


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
    quiet = logging.root.manager.disable
    logging.disable(logging.INFO)  # MMEngine logs every tensor that it initialises
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = MODELS.build(model_cfg)
            for module in model.modules():
                init_cfg = getattr(module, 'init_cfg', None)
                if isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained':
                    module.init_cfg = None
            model.init_weights()
    finally:
        logging.disable(quiet)
    return model


def convert(source, cfg, modality: str | None = None, attention: str = 'own') -> tuple:
    """Read a file of :data:`KNOWN` and fit it to a config's model.

    Args:
        source (str or Path): The file.
        cfg (Config): The config.
        modality (str, optional): See :func:`assign`.
        attention (str): See :func:`fit`.

    Returns:
        tuple[dict, Report]: A checkpoint ``dict(meta=..., state_dict=...)`` and what happened.
    """
    checkpoint = load_file(source)
    parsed = parse(checkpoint, str(source))
    model = build_model(cfg)
    state, report = fit(parsed, model, modality, attention)
    model.load_state_dict(state, strict=True)  # the promise, checked before anything is written
    described = describe_config(cfg)
    # What a file that was itself converted does not have stays untrained.
    before = read_metadata(checkpoint, source).get('initialised', ())
    untrained = [part for part in components(model) if part.startswith('backbone.') and (part in report.initialised or part in before)]
    if untrained:
        described['initialised'] = untrained
    meta = dict(converted_from=report.kind, initialised=list(report.initialised), left_out=dict(report.left_out), decur=described)
    return dict(meta=meta, state_dict=state), report
