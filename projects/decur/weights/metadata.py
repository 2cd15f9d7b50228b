"""What a checkpoint says about itself: enough to build its encoders and to prepare data for them, as plain values and no code."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..binding import bind
from ..errors import WeightsError
from ..version import __version__
from .description import check_description, check_notes

#: Which part of a run decides each key of a modality's entry: the model, its data preprocessor, or the data set that it was trained on.
_OF_MODEL = ('channels', 'encoder', 'attention', 'feature_channels')
_OF_PREPROCESSOR = ('mean', 'std', 'channel_order')
_OF_DATASET = ('bands', 'radiometry', 'interpolation', 'meta')


def plain(value):
    """A config value as dicts, lists, strings, numbers, booleans and None, which every format stores and reads without running code."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise WeightsError(f'{value!r} in the model config is no plain value and cannot be stored with the weights; name types by strings.')


def describe(model_cfg: Mapping, trained_on: Mapping | None = None) -> dict:
    """The metadata of a model whose backbone is a :class:`~decur.models.MultimodalBackbone`.

    Every value is taken from the part of the run that uses it: encoders from the backbone; mean, standard deviation and channel order from
    the data preprocessor; radiometry, bands and the origin of the data from the data set.

    Args:
        model_cfg (dict): A bound config's ``model`` (:func:`~decur.binding.bind`).
        trained_on (dict[str, dict], optional): The modality entries of the training data set. Defaults to the backbone's.

    Returns:
        dict: ``version`` of this project, ``modalities`` (entries with ``channels``, ``bands``, ``mean``, ``std``, ``encoder``,
        ``attention``, ``meta`` (data, licence), ...) and ``interactions``; of a pretraining model also ``objective``, the type of its head.
        Empty for another model.
    """
    backbone = model_cfg.get('backbone') or {}
    if not backbone.get('modalities'):
        return {}
    normalized = (model_cfg.get('data_preprocessor') or {}).get('modalities') or {}
    modalities = {}
    for name, entry in backbone['modalities'].items():
        if entry is None:
            continue
        parts = ((entry, _OF_MODEL), (normalized.get(name) or entry, _OF_PREPROCESSOR),
                 ((trained_on or {}).get(name) or entry, _OF_DATASET))
        modalities[name] = plain({key: part[key] for part, keys in parts for key in keys if part.get(key) is not None})
        # Where the weights started from: of no use to who loads them, and a download.
        if (modalities[name].get('encoder', {}).get('init_cfg') or {}).get('type') == 'Pretrained':
            modalities[name]['encoder'].pop('init_cfg')
    described = dict(version=__version__, modalities=modalities, interactions=plain(backbone.get('interactions') or {}))
    if model_cfg.get('neck') and model_cfg.get('head'):
        described['objective'] = model_cfg['head'].get('type')
    return described


def describe_config(cfg: Mapping) -> dict:
    """The metadata of a whole config, bound or not: what a checkpoint of a run of it would say.

    Returns:
        dict: As from :func:`describe`.

    Raises:
        ConfigError: If its modalities cannot be bound.
    """
    bound = bind(cfg)
    dataset = unwrapped((bound.get('train_dataloader') or {}).get('dataset'))
    return describe(bound.get('model') or {}, None if dataset is None else dataset['modalities'])


def unwrapped(dataset):
    """The data set (or its config) that has ``modalities``, out of its wrappers (repeated or joined data sets: the first one), or None."""
    while dataset is not None:
        get = dataset.get if isinstance(dataset, Mapping) else lambda key, of=dataset: getattr(of, key, None)
        if get('modalities') is not None:
            break
        dataset = next(iter(get('datasets') or ()), None) or get('dataset')
    return dataset


def read_metadata(checkpoint: Mapping, path) -> dict:
    """The metadata in a checkpoint of this project.

    Args:
        checkpoint (dict): As from :func:`~decur.weights.io.load_file`.
        path (str or Path): The file; a ``.safetensors`` file keeps its metadata in the head.

    Returns:
        dict: As from :func:`describe`; empty if there is none.

    Raises:
        WeightsError: If it is there but damaged, or names anything outside the closed list of :mod:`~decur.weights.description`.
    """
    found = _stored(checkpoint, path)
    return check_description(found, path) if found else {}


def read_notes(checkpoint: Mapping, path) -> dict:
    """What a checkpoint says of itself beside its encoders; what those are is not read, so they may be any that a config names.

    Args:
        checkpoint (dict), path (str or Path): As for :func:`read_metadata`.

    Returns:
        dict: ``objective`` (str or None); ``initialised`` (list[str]), the parts that a conversion did not find in its source; and
        ``bands`` (dict[str, list[str]]), by modality, as its encoder sees them, of those that name them.

    Raises:
        WeightsError: If they are there but of another kind.
    """
    found = _stored(checkpoint, path)
    check_notes(found, path)
    return dict(objective=dict.get(found, 'objective'), initialised=list(dict.get(found, 'initialised') or ()), bands=_bands(found))


def _bands(found: Mapping) -> dict:
    """Names of the bands by modality, as the encoders see them; what is no list of names is left out."""
    out, modalities = {}, dict.get(found, 'modalities')
    for name, entry in dict.items(modalities) if isinstance(modalities, dict) else ():
        bands = dict.get(entry, 'bands') if isinstance(entry, dict) else None
        if isinstance(bands, list | tuple) and all(type(band) is str for band in bands):
            out[name] = list(bands)[::-1] if dict.get(entry, 'channel_order') == 'bgr' else list(bands)
    return out


def _stored(checkpoint: Mapping, path) -> dict:
    """What lies under "decur", unchecked; a dict out of a file may be of a subclass with methods of its own, so only dict's are called."""
    if Path(path).suffix == '.safetensors':
        from safetensors import safe_open
        with safe_open(path, 'pt') as file:
            text = (file.metadata() or {}).get('decur')
        try:
            found = json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            raise WeightsError(f'{path}: the metadata under "decur" is no JSON ({error}).') from error
    else:
        meta = dict.get(checkpoint, 'meta')
        found = dict.get(meta, 'decur') if isinstance(meta, dict) else None
    if not isinstance(found, dict | None):
        raise WeightsError(f'{path}: the metadata under "decur" has no modalities.')
    return found or {}
