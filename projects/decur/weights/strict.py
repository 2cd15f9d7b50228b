"""The one way in which weights enter a module: every key fits, or nothing is loaded and one line says what does not."""
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from ..errors import WeightsError, some
from .names import FIRST_LAYER


def load_strict(module: nn.Module, state: Mapping[str, Tensor], source, *, what: str = 'the model of the config',
                cure: str = 'Give the config that it was trained with, with the same options.', allow_missing: Sequence[str] = (),
                resized: Sequence[str] = ()) -> list:
    """Load weights into a module; every key must be in both, with the same shape.

    Args:
        module (nn.Module): Takes the weights. Of a distributed wrapper or a test-time augmentation the model inside is taken.
        state (dict[str, Tensor]): The weights without wrappers, as from :func:`~decur.weights.io.unwrap`.
        source (str or Path): The file, named in errors.
        what (str): The module in words, for errors.
        cure (str): What the user can do, the last sentence of the error.
        allow_missing (Sequence[str]): Components of the module that the file may lack: ``'decode_head'`` stands for
            ``decode_head`` and everything below it. They keep their values.
        resized (Sequence[str]): Last parts of keys whose shape may differ, because the module interpolates them while it loads them
            (``'pos_embed'``).

    Returns:
        list[str]: Keys of the module that the file lacks and that were allowed to be missing.

    Raises:
        WeightsError: If anything else is missing, surplus, of another shape, or not finite. The module is left as it was.
    """
    module = inner_model(module)
    own = module.state_dict()
    check_fit(own, state, source, what=what, cure=cure, allow_missing=allow_missing, resized=resized)
    module.load_state_dict({key: state.get(key, value) for key, value in own.items()}, strict=True)
    return [key for key in own if key not in state and not _is_counter(key)]


def check_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], source, *, what: str = 'the model of the config',
              cure: str = 'Give the config that it was trained with, with the same options.', **allowed) -> None:
    """Raise the error of :func:`load_strict` where weights ``found`` do not fit those ``wanted``; the other arguments are the same."""
    text = differences(wanted, found, **allowed)
    if text:
        raise WeightsError(f'{source} does not fit {what}, nothing was loaded: {text}. {cure}')


def differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], allow_missing: Sequence[str] = (),
                resized: Sequence[str] = ()) -> str:
    """How the weights of a file differ from those of a module, on one line; empty if they fit.

    Args:
        wanted (dict[str, Tensor]): The module's.
        found (dict[str, Tensor]): The file's.
        allow_missing, resized: See :func:`load_strict`.

    Returns:
        str: How many keys are missing, surplus, of another shape or not finite, and the first few of each.
    """
    missing = [key for key in wanted if key not in found and not _is_counter(key) and not below(key, allow_missing)]
    surplus = [key for key in found if key not in wanted]
    shared = [key for key in wanted if key in found]
    shapes = [f'{key} is {tuple(found[key].shape)}, the model has {tuple(wanted[key].shape)}'
              + _shape_reason(key, found[key], wanted[key])
              for key in shared if found[key].shape != wanted[key].shape and key.rpartition('.')[2] not in resized]
    kinds = [f'{key} is {found[key].dtype}, the model has {wanted[key].dtype}'
             for key in shared if _kind(found[key]) != _kind(wanted[key])]
    broken = [key for key in shared if not _finite(found[key]) and _finite(wanted[key])]
    if wanted and not shared and missing:
        return (f'no key of the file is one of the model ({len(found)} in the file, the first {some(found)}; '
                f'{len(wanted)} in the model, the first {some(wanted)})')
    parts = ((missing, 'missing in the file'), (surplus, 'surplus in the file'), (shapes, 'of another shape'), (kinds, 'of another type'),
             (broken, 'with values that are not finite (NaN or infinite; the run that wrote them diverged, or the file is damaged)'))
    return '; '.join(f'{len(keys)} {name}: {some(keys)}' for keys, name in parts if keys)


def inner_model(model: nn.Module) -> nn.Module:
    """The model without the wrappers of distributed training and of test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def below(key: str, components: Sequence[str]) -> bool:
    """Whether a key is one of ``components`` or below one: ``'decode_head.conv.weight'`` is below ``'decode_head'``."""
    return any(key == name or key.startswith(f'{name.rstrip(".")}.') for name in components)


def _is_counter(key: str) -> bool:
    """The number of batches that a norm has seen: files older than PyTorch 0.4.1 lack it, and nothing here reads it."""
    return key.endswith('num_batches_tracked')


def _kind(value: Tensor) -> str:
    """What may be copied into one another without a loss that nobody sees: any float into any float, and so on."""
    return 'complex' if value.is_complex() else 'float' if value.is_floating_point() else 'integer'


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or value.is_meta or bool(torch.isfinite(value).all())


def _shape_reason(key: str, found: Tensor, wanted: Tensor) -> str:
    name = key.partition('encoder.')[2] or key
    if FIRST_LAYER.fullmatch(name) and found.shape[0] == wanted.shape[0]:
        return (f' (trained on {found.shape[1]} channels, the modality has {wanted.shape[1]}; to start from it all the same, give the '
                "encoder init_cfg=dict(type='Pretrained', checkpoint=FILE, first_layer='drop', 'repeat' or the places of the channels))")
    if 'conv_seg.' in key:
        return f' ({found.shape[0]} classes against {wanted.shape[0]})'
    if key.endswith('pos_embed'):
        return ' (another image or patch size)'
    return ''
