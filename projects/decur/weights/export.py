"""One encoder of ours in the names of the library that other programs load it with."""
import re
from collections.abc import Mapping

from ..errors import WeightsError
from .formats import family_of, parse
from .names import mit_to_nvlabs, vit_to_timm

#: From our names to those of the library that an encoder's family comes from. mmpretrain's ResNet has torchvision's and timm's names.
_NAMES = dict(resnet=dict, vit=vit_to_timm, mit=mit_to_nvlabs)
#: What can be written: the families that a program has a model for.
NAMINGS = {
    'torchvision': ('resnet', ),
    'timm': ('vit', ),
    'mit': ('mit', ),
    'torchgeo': ('resnet', 'vit', 'mit'),
    'terratorch': ('resnet', 'vit'),
}
#: ResNets of timm by the blocks of their stages and whether a block is a bottleneck.
_RESNETS = {((2, 2, 2, 2), False): 'resnet18', ((3, 4, 6, 3), False): 'resnet34', ((3, 4, 6, 3), True): 'resnet50',
            ((3, 4, 23, 3), True): 'resnet101', ((3, 8, 36, 3), True): 'resnet152'}
#: Vision Transformers of timm by width, depth and patch size.
_VITS = {(192, 12, 16): 'vit_tiny_patch16_224', (384, 12, 16): 'vit_small_patch16_224', (768, 12, 16): 'vit_base_patch16_224',
         (1024, 24, 16): 'vit_large_patch16_224'}
#: MiT by the width of the first stage and the blocks of all.
_MITS = {(32, (2, 2, 2, 2)): 'mit_b0', (64, (2, 2, 2, 2)): 'mit_b1', (64, (3, 4, 6, 3)): 'mit_b2', (64, (3, 4, 18, 3)): 'mit_b3',
         (64, (3, 8, 27, 3)): 'mit_b4', (64, (3, 6, 40, 3)): 'mit_b5'}


def export_encoder(state_dict: Mapping, modality: str | None, naming: str) -> dict:
    """Take one modality's encoder out of a model's weights, renamed for another library.

    Args:
        state_dict (dict[str, Tensor]): Weights in this project's names (a pretraining model, a segmentor or a backbone).
        modality (str, optional): Which one; may be left out if there is only one.
        naming (str): ``'torchvision'`` (ResNet without ``fc``), ``'timm'`` (ViT without ``head``), ``'mit'`` (NVlabs' SegFormer; the
            linear layer of the published RGB-D models is its ``head``), ``'terratorch'`` (timm's names, ResNet or ViT, for ``ckpt_data=``)
            or ``'torchgeo'`` (a checkpoint for ``weights=`` of TorchGeo's tasks, see below; ResNet, ViT, or MiT without ``head``).

    Returns:
        dict: ``{name: tensor}``, every tensor of the encoder and nothing else. For TorchGeo
        ``dict(hyper_parameters=dict(model=NAME, in_channels=C), state_dict={'model.' + name: tensor})``, the form of the checkpoints that
        ``torchgeo.trainers.utils.extract_backbone`` reads.

    Raises:
        WeightsError: If there is no such modality, the encoder is not one of that library's, or it has attention, for which the library's
            model has no place.
    """
    if naming not in NAMINGS:
        raise WeightsError(f'unknown naming {naming!r}: use one of {sorted(NAMINGS)}.')
    encoders = parse(state_dict, 'the model').encoders
    if modality is None and len(encoders) == 1:
        modality = next(iter(encoders))
    if modality not in encoders:
        raise WeightsError(f'say which encoder to write: --modality {"|".join(map(str, encoders))}'
                           + (f' (there is no {modality!r}).' if modality else '.'))
    parts = encoders[modality].parts
    families = NAMINGS[naming]
    found = (family_of(parts['encoder']) or '').partition('.')[0]
    if found not in families:
        fitting = [name for name, kinds in NAMINGS.items() if found in kinds]
        raise WeightsError(f'the encoder of {modality!r} cannot be written in the names of {naming}, which are of a '
                           f'{" or ".join(families)}; ' + (f'use --export {fitting[0]}.' if fitting else 'it is of no library that is '
                                                           'known here.'))
    attention = sorted(part for part in parts if part.startswith('attention.'))
    if attention:
        raise WeightsError(f'the encoder of {modality!r} was trained with {attention}, for which a model of {naming} has no place: its '
                           'features would be others. Keep it in this project\'s format.')
    out = _NAMES[found](parts['encoder'])
    if naming == 'torchgeo':
        return dict(hyper_parameters=dict(model=model_name(out, found), in_channels=encoders[modality].in_channels),
                    state_dict={f'model.{key}': value for key, value in out.items()})
    if naming == 'terratorch':
        model_name(out, found)  # an encoder that TerraTorch has no model for would lose keys without a word: strict=False
    out.update({f'head.{key}': value for key, value in parts.get('head', {}).items()})
    return out


def model_name(state: Mapping, family: str) -> str:
    """What timm (or, for MiT, segmentation_models_pytorch) calls the model that has these weights.

    Args:
        state (dict[str, Tensor]): An encoder in that library's names.
        family (str): ``'resnet'``, ``'vit'`` or ``'mit'``.

    Raises:
        WeightsError: If it is none of the library's standard models, with what it is.
    """
    if family == 'resnet':
        key = _blocks(state, r'layer{}\.(\d+)\.'), 'layer1.0.conv3.weight' in state
        name, found = _RESNETS.get(key), f'a ResNet with {key[0]} {"bottleneck" if key[1] else "basic"} blocks'
        stem = state.get('conv1.weight')
        if stem is None or tuple(stem.shape[::2]) != (64, 7):
            name, found = None, f'{found} and another stem than 64 convolutions of 7x7'
    elif family == 'vit':
        width, _, _, patch = state['patch_embed.proj.weight'].shape
        depth = 1 + max(int(key.split('.')[1]) for key in state if key.startswith('blocks.'))
        name, found = _VITS.get((width, depth, patch)), f'a ViT of width {width}, {depth} blocks and patches of {patch} pixels'
    else:
        key = len(state['patch_embed1.proj.weight']), _blocks(state, r'block{}\.(\d+)\.')
        name, found = _MITS.get(key), f'a MiT of width {key[0]} with {key[1]} blocks'
    if name is None:
        raise WeightsError(f'the encoder is {found}, which is no standard model of timm: TorchGeo and TerraTorch cannot build it. '
                           'Standard ones are ' + ', '.join(dict(resnet=_RESNETS, vit=_VITS, mit=_MITS)[family].values()) + '.')
    return name


def _blocks(state: Mapping, pattern: str) -> tuple:
    """Number of blocks of the four stages."""
    return tuple(len({match[1] for key in state if (match := re.match(pattern.format(stage), key))}) for stage in range(1, 5))
