"""One encoder of ours in the names of the library that other programs load it with."""
from collections.abc import Mapping

from ..errors import WeightsError
from .formats import family_of, parse
from .names import mit_to_nvlabs, vit_to_timm

#: Naming by library: what it can name, and the function from our names.
NAMINGS = {
    'torchvision': ('resnet', dict),  # mmpretrain's ResNet has torchvision's names
    'timm': ('vit', vit_to_timm),
    'mit': ('mit', mit_to_nvlabs),
}


def export_encoder(state_dict: Mapping, modality: str | None, naming: str) -> dict:
    """Take one modality's encoder out of a model's weights, renamed for another library.

    Args:
        state_dict (dict[str, Tensor]): Weights in this project's names (a pretraining model, a segmentor or a backbone).
        modality (str, optional): Which one; may be left out if there is only one.
        naming (str): ``'torchvision'`` (ResNet without ``fc``), ``'timm'`` (ViT without ``head``) or ``'mit'`` (NVlabs' SegFormer; the
            linear layer of the published RGB-D models is its ``head``).

    Returns:
        dict[str, Tensor]: ``{name: tensor}``, every tensor of the encoder and nothing else.

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
    family, rename = NAMINGS[naming]
    found = (family_of(parts['encoder']) or '').partition('.')[0]
    if found != family:
        fitting = [name for name, (kind, _) in NAMINGS.items() if kind == found]
        raise WeightsError(f'the encoder of {modality!r} cannot be written in the names of {naming}, which are of a {family}; '
                           + (f'use --export {fitting[0]}.' if fitting else 'it is of no library that is known here.'))
    attention = sorted(part for part in parts if part.startswith('attention.'))
    if attention:
        raise WeightsError(f'the encoder of {modality!r} was trained with {attention}, for which a model of {naming} has no place: its '
                           'features would be others. Keep it in this project\'s format.')
    out = rename(parts['encoder'])
    out.update({f'head.{key}': value for key, value in parts.get('head', {}).items()})
    return out
