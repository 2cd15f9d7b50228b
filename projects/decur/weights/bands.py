"""Weights for other bands than they were trained on: bands are matched by their names, and the first layer is changed to fit.

A first layer is linear: ``y = sum_c W_c * x_c``. For images that lack some of the bands, something must stand for those:

* ``'drop'``: nothing, ``x_c = 0`` after normalisation; the filters of the absent bands are left out.
* ``'mean'``: the band's mean in training, a constant ``b_c``.
* ``'estimate'``: a linear function of the bands that are there, ``x_c = sum_k A_ck x_k + b_c``: ``W_k`` becomes
  ``W_k + sum_c W_c A_ck``.

The constants go to the layer's bias or, where it has none, to the running mean of the batch norm after it. Within half a kernel of the
image's edge, where the layer pads with zeros, that is not quite the same as images with such a band.
"""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import WeightsError, closest, some
from ..sensors import band_name
from .names import FIRST_LAYER

#: What may stand for bands that are absent.
RULES = ('drop', 'mean', 'estimate')


def match_bands(trained: Sequence[str], wanted: Sequence[str], what: str) -> tuple:
    """Find the wanted bands among those of the weights, by name (``'B04'`` is ``'B4'``, ``'vv'`` is ``'VV'``).

    Args:
        trained (Sequence[str]): Bands of the weights, as the encoder sees them. A name may stand for several channels (an elevation that is
            given three times); wanted once, it takes the place of all of them.
        wanted (Sequence[str]): Bands of the images.
        what (str): For messages.

    Returns:
        tuple[list[list[int]], list[int]]: For each wanted band the places among the trained ones; and the places of those that are absent.

    Raises:
        WeightsError: If a wanted band is none of the weights', is wanted twice, or none is wanted.
    """
    names, asked = [band_name(name) for name in trained], [band_name(name) for name in wanted]
    if not asked:
        raise WeightsError(f'{what}: no band was named; its bands are {", ".join(trained)}.')
    places = []
    for name in asked:
        found = [i for i, known in enumerate(names) if known == name]
        if not found:
            raise WeightsError(f'{what} has no band {name!r}{closest(name, names)} Its bands are {", ".join(trained)}.')
        if asked.count(name) not in (1, len(found)):
            raise WeightsError(f'{what}: band {name!r} was named {asked.count(name)} times; the weights have it {len(found)} times.')
        places.append(found if asked.count(name) == 1 else [found[sum(used[0] in found for used in places)]])
    taken = {place for found in places for place in found}
    return places, [i for i in range(len(names)) if i not in taken]


def check_order(trained: Sequence[str] | None, wanted: Sequence[str] | None, source, modality: str) -> None:
    """Raise :class:`WeightsError` if the weights have the same bands as the modality, in another order; both as the encoder sees them."""
    if not trained or not wanted:
        return
    trained, wanted = [band_name(name) for name in trained], [band_name(name) for name in wanted]
    if trained != wanted and sorted(trained) == sorted(wanted):
        cure = f'Read the bands of modality {modality!r} in the order of the weights'
        if trained == wanted[::-1] and len(trained) == 3:
            cure = f"Set modalities.{modality}.channel_order='bgr' where it is unset, and leave it out where it is 'bgr'"
        raise WeightsError(f'{source}: its encoder was trained on the bands {", ".join(trained)}, modality {modality!r} gives it '
                           f'{", ".join(wanted)}: the same bands in another order. {cure} '
                           "(an init_cfg can have first_layer='by_name' instead).")


def change_first_layer(state: Mapping, places: Sequence, absent: Sequence[int] = (), weights: Tensor | None = None,
                       offset: Tensor | None = None) -> dict:
    """The weights of an encoder for the bands that :func:`match_bands` found.

    Args:
        state (dict[str, Tensor]): Of the encoder, in this project's names.
        places (Sequence[Sequence[int]]), absent (Sequence[int]): From :func:`match_bands`: K wanted bands, M absent ones.
        weights (Tensor, optional): ``(M, K)``: A, what an absent band is by those that are there.
        offset (Tensor, optional): ``(M, )``: b. Both in normalised values; without them the absent bands are dropped.

    Returns:
        dict[str, Tensor]: The same keys; the first layer has K channels.

    Raises:
        WeightsError: If there is no first layer that is known, or an offset and neither a bias nor a batch norm to take it.
    """
    key = first_layer_key(state)
    trained = state[key].double()
    new = torch.stack([trained[:, list(place)].sum(1) for place in places], 1)
    out = dict(state)
    if weights is not None:
        new += torch.einsum('omhw,mk->okhw', trained[:, list(absent)], weights.double())
    if offset is not None and offset.any():
        constant = trained[:, list(absent)].sum((2, 3)) @ offset.double()
        bias, running = f'{key.removesuffix("weight")}bias', {'conv1.weight': 'bn1.running_mean', 'stem.0.weight': 'stem.1.running_mean'}
        if bias in state:
            out[bias] = (state[bias].double() + constant).to(state[bias].dtype)
        elif running.get(key) in state:
            out[running[key]] = (state[running[key]].double() - constant).to(state[running[key]].dtype)
        else:
            raise WeightsError(f'the first layer {key} has no bias, and no batch norm after it: a constant in the place of the absent '
                               "bands cannot be added to it. Use missing='drop'.")
    out[key] = new.to(state[key].dtype)
    return out


def first_layer_key(state: Mapping) -> str:
    """The key of an encoder's first layer.

    Raises:
        WeightsError: If it is none that is known.
    """
    found = next((key for key in state if FIRST_LAYER.fullmatch(key)), None)
    if found is None:
        raise WeightsError(f'no first layer is known among the weights of the encoder ({some(state)}), so its bands cannot be changed.')
    return found
