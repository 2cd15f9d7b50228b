"""Encoders in one call: published ones by name, from a checkpoint that says what it is, or from a config."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from ..binding import bind
from ..errors import ConfigError, DataError, WeightsError
from ..modalities import check_finite, check_modalities, select
from ..transforms.loading import ModalityLoader
from ..weights.description import without_memory
from ..weights.fit import fit
from ..weights.formats import parse
from ..weights.hub import CONFIG, WEIGHTS
from ..weights.io import load_file, unwrap
from ..weights.metadata import describe_config, read_metadata, read_notes
from ..weights.quiet import no_line_for_every_tensor
from ..weights.sources import fetch
from ..weights.streams import check_bands
from ..weights.strict import check_fit, load_strict
from ..weights.zoo import Weights, named_weights
from .bands import change_bands
from .hub import check_folder, push_to_hub, save_pretrained
from .model import read_config

_CURE = 'Name the config that it was trained with: config=...'


class ModalityTransform:
    """Brings one modality's image to what its encoder takes: radiometry, channel order, float32, mean and standard deviation.

    Args:
        name (str): The modality.
        entry (dict): Its entry.
        preprocessor (MultimodalDataPreprocessor): Does the normalisation, as in training.
    """

    def __init__(self, name: str, entry: Mapping, preprocessor: nn.Module):
        self.name, self.entry, self.preprocessor = name, entry, preprocessor
        self.loader = ModalityLoader(name, entry)

    def __call__(self, image, radiometry: bool = True) -> Tensor:
        """Transform one image.

        Args:
            image (ndarray | Tensor): ``(H, W, C)`` as the modality's reader gives it, in the data's own units; a masked array where pixels
                are missing, which become the modality's mean.
            radiometry (bool): Apply the entry's ``radiometry``; False for an image to which ``LoadModalities`` has applied it.

        Returns:
            Tensor: ``(C, H, W)`` float32; stack several to the ``(N, C, H, W)`` of ``extract_feat``.

        Raises:
            DataError: If the image has another number of channels, or values that are no numbers.
        """
        image = np.asanyarray(image)
        if radiometry and image.ndim == 3:
            image = self.loader.finish(image)[0]
        if image.ndim != 3 or image.shape[2] != self.entry['channels']:
            raise DataError(f'modality {self.name!r} takes images (H, W, {self.entry["channels"]}), got {image.shape}.')
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32, copy=False))
        buffer = next(self.preprocessor.buffers())
        return self.preprocessor.normalize(self.name, x[None].to(buffer.device))[0].contiguous()


class LoadedEncoder(nn.Module):
    """The encoders of some modalities, in eval mode. What :func:`load` returns.

    Attributes:
        modalities (dict[str, dict]): Entries: ``channels``, ``encoder``, ...
        interactions (dict | None): Modules between the encoders, as in a config.
        transforms (dict[str, ModalityTransform]): By modality, ``(H, W, C)`` image to ``(C, H, W)`` tensor.
        metadata (dict[str, dict]): By modality: ``bands``, ``mean``, ``std`` and what the entry's ``meta`` says (``data``, ``licence``).
    """

    def __init__(self, modalities: Mapping, interactions: Mapping | None = None):
        super().__init__()
        self.modalities, self.interactions = check_modalities(modalities), interactions
        with DefaultScope.overwrite_default_scope('mmengine'):
            self.backbone = MODELS.build(dict(type='MultimodalBackbone', modalities=self.modalities, interactions=interactions or None))
            self.data_preprocessor = MODELS.build(dict(type='MultimodalDataPreprocessor', modalities=self.modalities))
        self.transforms = {name: ModalityTransform(name, entry, self.data_preprocessor) for name, entry in self.modalities.items()}
        self.metadata = {
            name: dict(bands=entry.get('bands'), mean=entry.get('mean'), std=entry.get('std'), **dict(entry.get('meta') or {}))
            for name, entry in self.modalities.items()
        }
        self.eval()

    @property
    def feature_dims(self) -> dict:
        """Length F of each modality's feature."""
        return self.backbone.feature_dims

    def extract_feat(self, inputs: Mapping) -> dict:
        """Features ``{name: (N, F)}`` of transformed images ``{name: (N, C, H, W)}``, any subset of the modalities.

        Raises:
            DataError: If a value is not finite: one such pixel would make a whole feature NaN.
        """
        check_finite(inputs, self.modalities)
        return self.backbone.features(inputs)

    def extract_maps(self, inputs: Mapping) -> dict:
        """Stage maps ``{name: ((N, C_i, H_i, W_i), ...)}`` of the same."""
        check_finite(inputs, self.modalities)
        return self.backbone.step(inputs)

    def forward(self, inputs: Mapping) -> dict:
        """As :meth:`extract_feat`."""
        return self.extract_feat(inputs)

    def save_pretrained(self, folder, **card) -> Path:
        """Write weights, config, a checked example and a model card to a folder; see :func:`~decur.apis.hub.save_pretrained`."""
        return save_pretrained(self, folder, **card)

    def push_to_hub(self, repository: str, **options) -> str:
        """Write the same to ``OWNER/REPO`` of the Hugging Face hub; see :func:`~decur.apis.hub.push_to_hub`."""
        return push_to_hub(self, repository, **options)


def load(source, config=None, modalities: Sequence[str] | None = None, sha256: str | None = None, device='cpu',
         bands: Mapping | Sequence[str] | None = None, missing: str | None = None, reference=None) -> LoadedEncoder:
    """Build encoders with their weights.

    ::

        encoder = decur.load('decur_resnet50_ssl4eo-s12')                         # published: decur.list_weights() lists the names
        encoder = decur.load('work_dirs/decur_sunrgbd/epoch_200.pth')             # of this project
        encoder = decur.load('hf://OWNER/REPO')                                   # that encoder.push_to_hub wrote; or a folder
        encoder = decur.load('hf://OWNER/REPO/FILE.pth', config='configs/decur/ssl4eo_s1-s2_r50_decur.py', modalities=['sar'])
        x = torch.stack([encoder.transforms['sar'](image) for image in images])   # images (H, W, C) in the data's units
        features = encoder.extract_feat(dict(sar=x))['sar']                       # (N, F)
        decur.load('decur_resnet50_ssl4eo-s12_optical', bands=('B4', 'B3', 'B2', 'B8'), missing='drop')    # images of four bands

    Args:
        source (str | Path | Config): The name of published weights; a checkpoint (a path, ``http(s)://``, ``hf://OWNER/REPO/FILE``); a
            model that :meth:`~LoadedEncoder.save_pretrained` or :meth:`~LoadedEncoder.push_to_hub` wrote (its folder, ``hf://OWNER/REPO``);
            or a config, whose encoders are then initialised as the config says.
        config (str | Path | Config, optional): The config of a checkpoint that does not describe itself: those of other libraries and
            projects. Checkpoints of this project do, and for published weights it is known: the encoders then see images as they did in
            their training.
        modalities (Sequence[str], optional): The ones to build. Defaults to those that the file has weights for.
        sha256 (str, optional): Digest (or its first letters) that the checkpoint must have. That of published weights is checked anyway.
        device (str | torch.device): Where to. Defaults to ``'cpu'``.
        bands (dict[str, Sequence[str]] | Sequence[str], optional): The bands that the images have, in their order, by modality (of a single
            one as they are). The first layer is changed to fit; what the weights were not trained on is refused.
        missing (str, optional): What stands for bands of the weights that the images lack: ``'drop'`` (nothing), ``'mean'`` (the mean of
            each) or ``'estimate'`` (a linear estimate from the others, from ``reference``); see :mod:`decur.weights.bands`.
        reference (Sequence[ndarray] | dict, optional): Images with all bands, for ``'estimate'``; see
            :func:`~decur.apis.bands.change_bands`.

    Returns:
        LoadedEncoder: In eval mode.

    Raises:
        WeightsError: If the file is missing, damaged, unsafe or does not fit, or a part that the features come from is not in it.
        ConfigError: If there is no such config or modality.
    """
    if isinstance(source, Config) or str(source).endswith('.py'):
        if sha256:
            raise ConfigError('sha256 is the digest of a checkpoint, but the source is a config.')
        return _with_bands(_initialised(source, modalities), source, bands, missing, reference).to(device)
    path = fetch(source, sha256)
    checkpoint = load_file(path)
    published = named_weights(source)
    if config is not None:
        encoder = _fitted(checkpoint, path, source, describe_config(_config(config)), modalities, str(config))
    elif published is not None:
        encoder = _published(checkpoint, path, published, modalities)
    else:
        encoder = _described(checkpoint, path, source, modalities)
        if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
            check_folder(encoder, path.parent, source)
    return _with_bands(encoder, source, bands, missing, reference).to(device)


def _with_bands(encoder: LoadedEncoder, source, bands, missing: str | None, reference) -> LoadedEncoder:
    """The same encoders for images with other bands."""
    if bands is None:
        if missing is not None or reference is not None:
            raise ConfigError('missing= and reference= say what stands for bands that are absent; name those that are there: bands=(...).')
        return encoder
    entries, state = change_bands(encoder, bands, missing, reference)
    changed = LoadedEncoder(entries, encoder.interactions)
    load_strict(changed.backbone, state, source, what='the encoders for these bands', cure=_CURE)
    return changed


def _initialised(config, modalities: Sequence[str] | None) -> LoadedEncoder:
    """Encoders of a config with the weights that it starts from."""
    cfg = _config(config)
    encoder = LoadedEncoder(*_selected(describe_config(cfg), modalities, 'the config'))
    original = cfg['model']['backbone']['modalities']
    for name, stream in encoder.backbone.streams.items():
        init_cfg = (original[name]['encoder'].get('init_cfg') or {})
        if init_cfg.get('type') == 'Pretrained':
            stream.init_cfg = dict(init_cfg)
    with no_line_for_every_tensor():
        encoder.backbone.init_weights()
    return encoder


def _described(checkpoint: Mapping, path: Path, source, modalities: Sequence[str] | None) -> LoadedEncoder:
    """Encoders of a checkpoint that describes itself."""
    described = read_metadata(checkpoint, path)
    if not described:
        raise WeightsError(f'{source} does not say which encoders it holds. Name a config: decur.load({str(source)!r}, config=...).')
    untrained = described.get('initialised', ())
    if modalities is None and not described.get('interactions'):
        # A converted file has random weights where its source had none.
        modalities = [name for name in described['modalities'] if f'backbone.streams.{name}.encoder' not in untrained]
    entries, interactions = _selected(described, modalities, str(source))
    _check_trained(entries, untrained, str(source))
    weights = unwrap(checkpoint, source)
    with without_memory(weights, source):
        claimed = LoadedEncoder(entries, interactions).backbone.state_dict()
    state = _own_state(weights, entries, str(source))
    check_fit(claimed, state, source, what='the encoders that it describes', cure=_CURE)
    return _loaded(entries, interactions, state, source)


def _published(checkpoint: Mapping, path: Path, published: Weights, modalities: Sequence[str] | None) -> LoadedEncoder:
    """Encoders of published weights, which see images as they did in their training."""
    described = describe_config(read_config(published.config, published.options))
    for entry in described['modalities'].values():
        entry['meta'] = dict(entry.get('meta') or {}, weights=published.name, weights_licence=published.licence)
    if not described['interactions']:
        described['modalities'] = {name: described['modalities'][name] for name in published.modalities}
    return _fitted(checkpoint, path, published.name, described, modalities, published.name, published.attention)


def _fitted(checkpoint: Mapping, path: Path, source, described: Mapping, modalities: Sequence[str] | None, origin: str,
            attention: str = 'own') -> LoadedEncoder:
    """Encoders of a checkpoint that others describe: ``described`` as from :func:`~decur.weights.metadata.describe`."""
    parsed = parse(checkpoint, str(source))
    one = modalities[0] if modalities is not None and len(modalities) == 1 else None
    encoder = LoadedEncoder(described['modalities'], described['interactions'])
    state, report = fit(parsed, encoder, one, attention)
    check_bands(encoder, checkpoint, path, source)
    found = [name for name in described['modalities'] if f'backbone.streams.{name}.encoder' in report.taken]
    wanted = list(modalities) if modalities is not None else found
    missing = [name for name in wanted if name not in found]
    if missing:
        raise WeightsError(f'{source} ({report.kind}) has no encoder for {missing}; it has one for {found}.')
    entries, interactions = _selected(described, wanted, origin)
    _check_trained(entries, (*report.initialised, *read_notes(checkpoint, path)['initialised']), str(source))
    return _loaded(entries, interactions, _own_state(state, entries, str(source)), source)


def _config(config) -> Config:
    cfg = bind(read_config(config))
    if not describe_config(cfg):
        raise ConfigError(f'{cfg.filename or "the config"}: its model has no MultimodalBackbone with modalities.')
    return cfg


def _selected(described: Mapping, modalities: Sequence[str] | None, origin: str) -> tuple:
    """The entries to build, and the interactions."""
    entries = described['modalities']
    interactions = described.get('interactions')
    if modalities is not None:
        if interactions and set(modalities) != set(entries):
            raise ConfigError(f'the encoders of {origin} interact ({sorted(entries)}): they cannot be loaded one without the other.')
        entries = select(entries, modalities)
    return entries, interactions


def _check_trained(entries: Mapping, untrained: Sequence[str], origin: str) -> None:
    """Raise :class:`WeightsError` if a part of the encoders was not in the file: features of random weights look like any others."""
    for part in untrained:
        kind, name, inner = (part.split('.', 3)[1:] + ['', ''])[:3]
        if kind == 'streams' and name not in entries or kind not in ('streams', 'interactions'):
            continue
        if kind == 'interactions':
            remedy = 'Give a config without interactions.'
        elif inner == 'head':
            remedy = (f'For features without the linear layer give a config in which modalities.{name}.feature_channels is None, '
                      f"for example cfg.merge_from_dict({{'modalities.{name}.feature_channels': None}}).")
        elif inner == 'encoder':
            remedy = 'Leave that modality out: modalities=[...].'
        else:
            remedy = 'Give a config without that attention.'
        raise WeightsError(f'{origin} has no weights for {part}: the features of {name or "the encoders"} would be random. {remedy}')


def _own_state(weights: Mapping, entries: Mapping, origin: str) -> dict:
    """The weights of a backbone with these modalities, out of those of a checkpoint in this project's names."""
    parsed = parse(weights, origin)
    state = {f'streams.{name}.{part}.{key}': value for name, found in parsed.encoders.items() if name in entries
             for part, values in found.parts.items() for key, value in values.items()}
    state.update({f'interactions.{key}': value for key, value in parsed.rest.get('backbone.interactions', {}).items()})
    return state


def _loaded(entries: Mapping, interactions: Mapping | None, state: Mapping, origin) -> LoadedEncoder:
    encoder = LoadedEncoder(entries, interactions)
    load_strict(encoder.backbone, state, origin, what='the encoders that it describes', cure=_CURE)
    return encoder
