"""Weights of other data into an encoder, with an explicit rule for a first layer that sees other channels."""
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import WeightsError, some
from ..sensors import band_name
from .bands import check_order
from .formats import parse
from .io import load_file
from .names import FIRST_LAYER
from .sources import fetch
from .strict import load_strict
from .zoo import named_weights


def adapt_first_layer(weight: Tensor, initial: Tensor, rule: str | Sequence[int]) -> Tensor:
    """The first convolution for another number of channels.

    Args:
        weight (Tensor): ``(O, C, k, k)`` as trained, C channels (3 for ImageNet).
        initial (Tensor): ``(O, C', k, k)`` as initialised.
        rule (str | Sequence[int]): ``'drop'``: keep the initial weight. ``'repeat'``: channel i takes the filter of channel i mod C, all
            scaled by C / C', so that an image whose channels are all equal gives the response that it gave. A sequence of C integers: the
            places of the trained channels (of R, G, B) among the C'; the other channels start at zero, so the encoder starts as the
            trained one on those bands, for example ``(3, 2, 1)`` for Sentinel-2's B4, B3, B2.

    Returns:
        Tensor: ``(O, C', k, k)``.

    Raises:
        WeightsError: If the rule is unknown or its places are not C different channels.
    """
    old, new = weight.shape[1], initial.shape[1]
    if weight.shape[0] != initial.shape[0] or weight.shape[2:] != initial.shape[2:]:
        raise WeightsError(f'the first layer is {tuple(weight.shape)} in the file and {tuple(initial.shape)} in the model: '
                           'only the number of channels may differ.')
    if rule == 'drop':
        return initial.clone()
    if rule == 'repeat':
        return weight[:, torch.arange(new) % old] * (old / new)
    if isinstance(rule, str) or not isinstance(rule, Sequence):
        raise WeightsError(f"unknown rule {rule!r} for the first layer: use 'drop', 'repeat' or the places of the {old} trained channels.")
    if len(rule) != old or len(set(rule)) != old or not all(isinstance(i, int) and 0 <= i < new for i in rule):
        raise WeightsError(f'first_layer={rule!r}: expected {old} different places among the channels 0..{new - 1}.')
    out = torch.zeros_like(initial, dtype=weight.dtype)
    out[:, list(rule)] = weight
    return out


def place_by_name(weight: Tensor, trained: Sequence[str] | None, wanted: Sequence[str] | None, source: str) -> Tensor:
    """The first convolution with its channels where the bands of the same names are; both lists are as the encoder sees them.

    Bands that the weights have not start at zero, filters of bands that the images have not are left out.

    Args:
        weight (Tensor): ``(O, C, k, k)`` as trained on the C bands ``trained``.
        trained (Sequence[str]), wanted (Sequence[str]): Their names, and those of the C' channels of the images.
        source (str): Named in errors.

    Returns:
        Tensor: ``(O, C', k, k)``.

    Raises:
        WeightsError: If bands have no names, or none is in both.
    """
    if not wanted:
        raise WeightsError(f"{source}: first_layer='by_name' needs the names of the channels: give the modality's entry bands=(...).")
    if not trained or len(trained) != weight.shape[1]:
        got = f', got {len(trained)}' if trained else ''
        raise WeightsError(f"{source}: first_layer='by_name' needs the names of the {weight.shape[1]} bands that the weights were trained "
                           f'on, in their order: init_cfg=dict(..., bands=(...)){got}.')
    trained, wanted = [band_name(name) for name in trained], [band_name(name) for name in wanted]
    if not set(trained) & set(wanted):
        raise WeightsError(f'{source} was trained on the bands {some(trained, 13)}; the modality has none of them: {some(wanted, 13)}.')
    columns = []
    for i, name in enumerate(wanted):
        places = [j for j, known in enumerate(trained) if known == name]
        if len(places) > 1 and wanted.count(name) == len(places):  # the same channel several times, in both
            places = [places[wanted[:i].count(name)]]
        columns.append(weight[:, places].sum(1) / (1 if len(places) == 1 else wanted.count(name)))
    return torch.stack(columns, 1)


def load_encoder(stream: nn.Module, checkpoint: str, first_layer: str | Sequence[int] | None = None, sha256: str | None = None,
                 bands: Sequence[str] | None = None) -> None:
    """Load an encoder file into a stream; every key must fit, except a classifier, which is left out.

    Args:
        stream (Stream): Takes the weights.
        checkpoint (str): A source as in :func:`~decur.weights.sources.fetch`: a torchvision ResNet, a timm ViT, NVlabs' or mmseg's MiT, or
            an OpenMMLab backbone.
        first_layer (str | Sequence[int], optional): See :func:`adapt_first_layer`, or ``'by_name'`` (:func:`place_by_name`); needed where
            the channels differ. It is applied where they are equal too, so ``'drop'`` always drops.
        sha256 (str, optional): Digest that the file must have.
        bands (Sequence[str], optional): Names of the bands that the weights were trained on, as the encoder saw them. Those of published
            weights that are named are known.

    Raises:
        WeightsError: If the file has more than one encoder, a key does not fit, or the channels differ and there is no rule. The stream is
            left as it was.
    """
    try:
        path = fetch(checkpoint, sha256)
    except WeightsError as error:
        raise WeightsError(f'{error} (modality {stream.name!r} starts from it; to train from random weights set '
                           f'modalities.{stream.name}.encoder.init_cfg=None)') from error
    parsed = parse(load_file(path), str(path))
    if not parsed.single:
        raise WeightsError(f'{path} is {parsed.kind} and has {len(parsed.encoders)} encoder(s) by name; '
                           'give it as pretrained= of the MultimodalBackbone.')
    encoder = parsed.encoders[0]
    extra = [part for part in encoder.parts if part not in ('encoder', 'head')]  # the linear layer before the projector starts anew
    if extra:
        raise WeightsError(f'{path} is {parsed.kind} with {extra}: an encoder alone was expected. '
                           'Convert it: python tools/convert_checkpoint.py SRC DST --config CONFIG.')
    state, target = dict(encoder.parts['encoder']), stream.encoder.state_dict()
    published = named_weights(checkpoint)
    if bands is None and published is not None and len(published.modalities) == 1:
        bands = published.inputs[published.modalities[0]].seen
    if first_layer is None:
        check_order(bands, stream.bands, checkpoint, stream.name)
    for key in filter(FIRST_LAYER.fullmatch, target):
        if key in state and first_layer == 'by_name':
            state[key] = place_by_name(state[key], bands, stream.bands, checkpoint)
        elif key in state and first_layer is not None:
            state[key] = adapt_first_layer(state[key], target[key], first_layer)
    load_strict(stream.encoder, state, f'{path} ({parsed.kind})', what=f'the encoder of modality {stream.name!r}',
                cure='Give the modality the encoder that the file holds.',
                resized=('pos_embed', ))  # the library interpolates a position embedding
    print_log(f'loaded the encoder of {stream.name!r} from {path} ({parsed.kind}): all {len(target)} tensors', logger='current')
