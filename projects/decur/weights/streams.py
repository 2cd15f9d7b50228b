"""Load the encoders of a checkpoint into another model, strictly."""
from collections.abc import Iterable, Mapping

from mmengine.logging import print_log
from torch import nn

from decur.errors import WeightsError

from .bands import check_order
from .fit import stream_state
from .formats import parse
from .io import load_file
from .metadata import read_notes
from .sources import fetch
from .strict import check_fit, load_strict
from .zoo import named_weights


def load_streams(backbone: nn.Module, pretrained: str | Mapping) -> dict:
    """Load the encoders of ``backbone.streams`` and report what was loaded; ``backbone.started_from`` says where they come from.

    Args:
        backbone (MultimodalBackbone): The model that takes the weights.
        pretrained (str | dict[str, str]): One checkpoint that has all modalities of the backbone, or a file per modality (modalities that
            are not named keep their initialisation), each a source as in :func:`~decur.weights.sources.fetch`. ``'file.pth::sar'`` takes
            the stream ``sar`` whatever the modality is called here. Published checkpoints (DeCUR, SegFormer's MiT, torchvision, timm; see
            :mod:`~decur.weights.formats`) are taken as they are; of one with two encoders, the first modality takes the first, or
            ``'file.pth::2'`` says which.

    Returns:
        dict[str, int]: Number of tensors loaded by modality.

    Raises:
        WeightsError: If a key is missing, surplus or of another shape, or an encoder was initialised at random when the file was
            converted. The model is left untouched.
    """
    files = {name: pretrained for name in backbone.streams} if isinstance(pretrained, str) else dict(pretrained)
    unknown = [name for name in files if name not in backbone.streams]
    if unknown:
        raise WeightsError(f'pretrained names modality {unknown}, the model has {list(backbone.streams)}.')
    channels = {name: stream.channels for name, stream in backbone.streams.items()}
    cache, states = {}, {}
    for name, spec in files.items():
        path, _, source_name = spec.partition('::')
        if path not in cache:
            local = fetch(path)
            checkpoint = load_file(local)
            notes = read_notes(checkpoint, local)
            notes['bands'] = trained_bands(path, notes, backbone.streams)
            cache[path] = parse(checkpoint, path), notes
        parsed, notes = cache[path]
        published = named_weights(path)
        state = stream_state(parsed, name, channels, source_name, named=not isinstance(pretrained, str),
                             attention=published.attention if published else 'own')
        untrained = [part for part in notes['initialised'] if part.startswith(f'backbone.streams.{source_name or name}.')
                     and not part.endswith('.head')]
        if untrained:
            raise WeightsError(f'{path} has no trained weights for {untrained[0]}: they were initialised at random when it was converted. '
                               'Name the modalities that it has: pretrained=dict(NAME=FILE).')
        target = backbone.streams[name].state_dict()
        if not any(key.startswith('head.') for key in target):
            # The feature head belongs to pretraining; a segmentation stream has none.
            state = {key: value for key, value in state.items() if not key.startswith('head.')}
        check_fit(target, state, path, what=f'the encoder of modality {name!r}' + (f' (as {source_name!r})' if source_name else ''),
                  cure='Give the modality the same encoder and channels as in pretraining.')
        check_order(notes['bands'].get(source_name or name), backbone.streams[name].bands, path, name)
        states[name] = state
    for name, state in states.items():
        load_strict(backbone.streams[name], state, files[name])
        path = files[name].partition('::')[0]
        backbone.started_from[name] = dict(file=files[name], objective=cache[path][1]['objective'])
        print_log(f'loaded the encoder of {name!r} from {files[name]}: all {len(state)} tensors', logger='current')
    return {name: len(state) for name, state in states.items()}


def check_bands(model: nn.Module, checkpoint: Mapping, path, source) -> None:
    """Raise :class:`~decur.errors.WeightsError` if a checkpoint names the bands of a modality in another order than the model does.

    The shapes of the first layer fit then, and every feature would be wrong.

    Args:
        model (nn.Module): Takes the weights; without a :class:`~decur.models.MultimodalBackbone` there is nothing to compare.
        checkpoint (dict): As from :func:`~decur.weights.io.load_file`.
        path (str or Path): The local file.
        source (str or Path): What the user called it; named in errors.
    """
    streams = getattr(getattr(model, 'backbone', None), 'streams', None)
    if streams is None:
        return
    bands = trained_bands(source, read_notes(checkpoint, path), streams)
    for name, stream in streams.items():
        check_order(bands.get(name), stream.bands, source, name)


def trained_bands(source, notes: Mapping, names: Iterable[str]) -> dict:
    """Names of the bands that weights were trained on, by modality, as their encoders saw them; of the weights that say so.

    Args:
        source (str): Where the weights come from; those of published weights that are named are in their table.
        notes (dict): What the checkpoint says, from :func:`~decur.weights.metadata.read_notes`.
        names (Iterable[str]): The model's modalities, in order. A published file of two encoders gives them in order, whatever they are
            called; one of a single encoder may be meant for any of them.
    """
    published = named_weights(source)
    if published is None:
        return notes['bands']
    seen = [published.inputs[name].seen for name in published.modalities]
    return dict(zip(names, seen)) if len(seen) > 1 else dict.fromkeys(names, seen[0])
