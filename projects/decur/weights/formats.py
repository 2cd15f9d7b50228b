"""What a checkpoint file is: its weights sorted into components, with this project's names below each.

Published checkpoints differ in their names only. :func:`parse` recognises each kind by its keys and gives encoders, projectors and other
components as :class:`Parsed`; :mod:`~decur.weights.fit` matches them with a model.
"""
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import WeightsError
from .io import unwrap
from .names import FIRST_LAYER, below, mit_from_nvlabs, rename, vit_from_timm

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
        return next((value.shape[1] for key, value in self.parts.get('encoder', {}).items() if FIRST_LAYER.fullmatch(key)), None)


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
    family = family_of(state)
    if any(re.match(r'da[12]_l[34]\.', key) for key in state) or family is None and any(key.startswith('backbone.') for key in state):
        return _parse_prefixed(state, path)
    parsed = Parsed('', path)
    parsed.encoders[0] = _encoder(state, 'the whole file', parsed, path)
    parsed.kind = {'resnet': 'a torchvision ResNet', 'vit': 'a timm ViT', 'mit': 'an NVlabs MiT'}[parsed.encoders[0].family]
    if family in ('mit.mm', 'vit.mm'):
        parsed.kind = 'an OpenMMLab backbone'
    if 'head' in parsed.encoders[0].parts:
        parsed.kind = 'one encoder of a published DeCUR MiT'
    return parsed


#: Families of encoders in words.
FAMILIES = {'resnet': 'ResNet', 'vit': 'Vision Transformer', 'mit': 'MiT'}


def family_of(state: Mapping) -> str | None:
    """Which encoder the keys are of: ``'resnet'``, ``'vit'``, ``'mit'``, or ``'vit.mm'``, ``'mit.mm'`` in OpenMMLab's names."""
    marks = (('mit', 'patch_embed1.proj.weight'), ('mit.mm', 'layers.0.0.projection.weight'), ('vit', 'patch_embed.proj.weight'),
             ('vit.mm', 'patch_embed.projection.weight'), ('resnet', 'layer1.0.conv1.weight'))
    return next((family for family, mark in marks if mark in state), None)


def _encoder(state: Mapping, origin: str, parsed: Parsed, path: str, decur: bool = False) -> Encoder:
    """An encoder in our names out of a state dict without prefix; classifiers go to ``parsed.dropped``.

    A MiT's ``head`` is a classifier in SegFormer's files, and in DeCUR's the linear layer before the projector. Where the file does
    not say whose it is (``decur``), the width does.
    """
    family = family_of(state)
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


# Linear, BatchNorm, ReLU of the published sequence, again and again, to mmpretrain's fc0, bn0, fc1, bn1, fc2.
_PROJECTOR = tuple((f'{3 * layer + place}.*', f'{name}{layer}.*') for layer in range(8) for place, name in enumerate(('fc', 'bn')))

# The published CMX beside its encoders. Theirs counts modalities from 1, ours from 0.
_CMX = (
    ('backbone.FRMs.*.channel_weights.mlp.*', 'backbone.interactions.*.channel.*'),
    ('backbone.FRMs.*.spatial_weights.mlp.*', 'backbone.interactions.*.spatial.*'),
    *((f'backbone.FFMs.*.cross.{theirs}{i + 1}.*', f'backbone.fusion.stages.*.{ours}.{i}.*') for i in range(2) for theirs, ours in (
        ('channel_proj', 'proj'), ('cross_attn.kv', 'kv'), ('end_proj', 'end'), ('norm', 'norm'))),
    ('backbone.FFMs.*.channel_emb.residual.*', 'backbone.fusion.stages.*.residual.*'),
    ('backbone.FFMs.*.channel_emb.channel_embed.*', 'backbone.fusion.stages.*.embed.*'),
    ('backbone.FFMs.*.channel_emb.norm.*', 'backbone.fusion.stages.*.merge_norm.*'),
    *((f'decode_head.linear_c{i + 1}.proj.*', f'decode_head.embed.{i}.*') for i in range(4)),
    ('decode_head.linear_fuse.0.*', 'decode_head.fuse.conv.*'),
    ('decode_head.linear_fuse.1.*', 'decode_head.fuse.bn.*'),
    ('decode_head.linear_pred.*', 'decode_head.conv_seg.*'),
)


def _parse_own(state: Mapping, path: str) -> Parsed:
    """A model of this project: everything keeps its name."""
    parsed = Parsed('a checkpoint of this project', path)
    for key, value in state.items():
        if match := re.fullmatch(r'(?:backbone\.)?streams\.(\w+)\.(attention\.\d+|\w+)\.(.+)', key):
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
        body = below(state, f'backbone_{position + 1}.')
        if not body:
            raise WeightsError(f'{path}: has backbone_{2 - position} but no backbone_{position + 1}.')
        encoder = _encoder(body, f'backbone_{position + 1}', parsed, path, decur=True)
        parsed.dropped = {}
        for stage in (3, 4):
            if attention := below(state, f'da{position + 1}_l{stage}.'):
                encoder.parts[f'attention.{stage - 1}'] = attention  # our names are the published ones
        parsed.encoders[position] = encoder
        if projector := below(state, f'projector{position + 1}.'):
            parsed.projectors[position] = rename(projector, _PROJECTOR)
    if any('attention.2' in encoder.parts for encoder in parsed.encoders.values()):
        parsed.kind += ', ResNet-RDA'
    for key in state:
        if key.startswith('bn.'):
            parsed.dropped[key] = 'running statistics of the loss, which nothing reads'
        elif not re.match(r'(backbone_[12]|da[12]_l[34]|projector[12])\.', key):
            raise WeightsError(f'{path}: unknown key {key} in {parsed.kind}.')
    return parsed


def _parse_prefixed(state: Mapping, path: str) -> Parsed:
    """One encoder below ``backbone.``: the published backbone-only RDA files, and OpenMMLab checkpoints."""
    parsed = Parsed('an OpenMMLab checkpoint', path)
    encoder = _encoder(below(state, 'backbone.'), 'backbone', parsed, path)
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


def _parse_cmx(state: Mapping, path: str) -> Parsed:
    """The published CMX segmentor."""
    parsed = Parsed('a published CMX segmentor', path)
    streams = ({}, {})
    for key, value in rename(state, _CMX).items():
        if match := re.fullmatch(r'backbone\.(extra_)?((?:patch_embed|block|norm)\d.*)', key):
            streams[bool(match[1])][match[2]] = value
        elif key in state:
            raise WeightsError(f'{path}: unknown key {key} in {parsed.kind} (only MiT encoders with the MLP decoder are known).')
        else:
            component, rest = re.fullmatch(r'(decode_head|backbone\.\w+)\.(.+)', key).groups()
            parsed.rest.setdefault(component, {})[rest] = value
    for position, body in enumerate(streams):
        parsed.encoders[position] = _encoder(body, ('backbone', 'backbone.extra_')[position], parsed, path)
    return parsed
