"""Encoders as a folder that describes itself, on a disk or on the Hugging Face hub: weights, config, an example and a model card."""
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..errors import ConfigError, WeightsError
from ..modalities import encoder_order, statistics
from ..version import __version__
from ..weights import load_file, save_file
from ..weights.hub import CARD, CONFIG, EXAMPLE, WEIGHTS, explain, hub_api
from ..weights.metadata import describe
from ..weights.publish import write_described
from ..weights.sources import file_digest
from ..writing import output_folder, read_json, write_bytes, write_json
from .card import model_card

#: How far the example's features may be from those that were written, relative to their length: other processors round otherwise.
_TOLERANCE = 1e-3


def save_pretrained(encoder, folder: str | Path, *, name: str | None = None, licence: str | None = None, data: str | None = None,
                    results: Sequence[Mapping] = (), citation: str | None = None, example: Mapping | None = None) -> Path:
    """Write encoders to a folder that :func:`decur.load` takes: the same files as :func:`push_to_hub`.

    ``model.safetensors`` (weights, which describe themselves), ``config.json`` (the description, for readers, and the digest of the
    weights), ``example.safetensors`` (an image of each modality as it is given, as the encoder sees it, and its feature; compared whenever
    the folder is loaded) and ``README.md`` (the model card).

    Args:
        encoder (LoadedEncoder): From :func:`decur.load`.
        folder (str | Path): Where to; made if need be. Files of these names are replaced.
        name (str, optional): The model's name on the card. Defaults to the folder's.
        licence (str, optional): Of the weights, as the hub calls it (``'cc-by-4.0'``). Defaults to that of the published weights that
            they are; needed otherwise.
        data (str, optional): What they were trained on. Defaults to what the entries say.
        results (Sequence[dict], optional): Rows of a table of results for the card, all with the same keys.
        citation (str, optional): BibTeX, beside that of DeCUR.
        example (dict, optional): An image ``(H, W, C)`` by modality in the units of the data. Defaults to a smooth pattern around each
            band's mean.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: If there is no licence, or the results are not rows of one table.
        WriteError: If a file cannot be written.
    """
    licence = licence or _known_licence(encoder)
    if not licence:
        raise ConfigError("say under which licence the weights are: licence='cc-by-4.0', for example.")
    if len({tuple(row) for row in results}) > 1:
        raise ConfigError(f'results must be rows with the same keys, got {[list(row) for row in results]}.')
    folder = output_folder(folder)
    described = describe(dict(backbone=dict(modalities=encoder.modalities, interactions=encoder.interactions)))
    state = {f'backbone.{key}': value.cpu() for key, value in encoder.backbone.state_dict().items()}
    digest = write_described(state, described, folder / WEIGHTS)
    tried = _example(encoder, example or {})
    save_file(tried, folder / EXAMPLE)
    write_json(folder / CONFIG, dict(library_name='decur', **described, weights=dict(file=WEIGHTS, sha256=digest)))
    text = model_card(encoder, name or Path(folder).resolve().name, licence, data, list(results), citation, tried)
    write_bytes(folder / CARD, text.encode())
    return folder


def push_to_hub(encoder, repository: str, *, private: bool = False, token: str | None = None, message: str | None = None, **card) -> str:
    """Write encoders to a repository of the Hugging Face hub, which is made if need be; ``decur.load('hf://OWNER/REPO')`` takes them back.

    Args:
        encoder (LoadedEncoder): From :func:`decur.load`.
        repository (str): ``OWNER/REPO``.
        private (bool): Whether a new repository is private. Defaults to False.
        token (str, optional): Of the hub. Defaults to the one of ``hf auth login`` or ``HF_TOKEN``.
        message (str, optional): Of the commit.
        **card: As for :func:`save_pretrained`.

    Returns:
        str: Address of the repository.

    Raises:
        WeightsError: If the hub refuses (no permission, nobody logged in), or cannot be reached.
        ConfigError: As for :func:`save_pretrained`.
    """
    api = hub_api(f'hf://{repository}')
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(encoder, folder, **dict(dict(name=repository.rpartition('/')[2]), **card))
        try:
            url = api.create_repo(repository, private=private, exist_ok=True, token=token)
            api.upload_folder(repo_id=repository, folder_path=folder, token=token,
                              commit_message=message or f'Encoders of decur {__version__}')
        except Exception as error:  # no token, no permission, a bad name, no network
            raise WeightsError(f'hf://{repository}: {explain(error, repository, writing=True)}') from error
    return str(url)


def check_folder(encoder, folder: Path, source) -> None:
    """Compare encoders that were loaded from a folder with its ``config.json`` and its example.

    Raises:
        WeightsError: If the weights are not those that the config names, or the example's images are seen otherwise or have other features
            than when it was written.
    """
    config = folder / CONFIG
    if config.is_file():
        expected = read_json(config, 'Download the model again.')
        expected = (expected.get('weights') or {}).get('sha256') if isinstance(expected, dict) else None
        if expected is not None and file_digest(folder / WEIGHTS) != expected:
            raise WeightsError(f'{source}: {WEIGHTS} has not the SHA-256 that {CONFIG} names. Download the model again.')
    if not (folder / EXAMPLE).is_file():
        return
    example = load_file(folder / EXAMPLE)
    names = [name for name in encoder.modalities if f'image.{name}' in example]
    inputs = {}
    for name in names:
        seen = inputs[name] = encoder.transforms[name](example[f'image.{name}'].numpy())
        expected = example.get(f'seen.{name}')
        if expected is None or expected.shape != seen.shape or not torch.allclose(seen, expected, rtol=1e-4, atol=1e-5):
            raise WeightsError(f'{source}: the image of its example is seen otherwise by modality {name!r} than when the model was written '
                               f'(by decur {_version(folder)}, this is {__version__}). Its features would be others: load it with that '
                               'version.')
    if len(encoder.backbone.interactions) and len(names) < len(encoder.modalities):
        return
    for name, feature in _features(encoder, inputs).items():
        expected = example.get(f'feature.{name}')
        if expected is None or expected.shape != feature.shape or (feature - expected).norm() > _TOLERANCE * expected.norm():
            raise WeightsError(f'{source}: the feature of its example is not what it was when the model was written (modality {name!r}, '
                               f'by decur {_version(folder)}, this is {__version__}). Load it with that version.')


def _version(folder: Path) -> str:
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    return str(config.get('version', 'unknown')) if isinstance(config, dict) else 'unknown'


def _known_licence(encoder) -> str | None:
    """The licence of published weights, where all modalities have the same."""
    found = {entry.get('weights_licence') for entry in encoder.metadata.values()}
    return found.pop() if len(found) == 1 else None


@torch.no_grad()
def _features(encoder, inputs: Mapping) -> dict:
    if not inputs:
        return {}
    return {name: feature[0] for name, feature in encoder.extract_feat({name: x[None] for name, x in inputs.items()}).items()}


def _example(encoder, images: Mapping) -> dict:
    """Tensors ``image.NAME`` ``(H, W, C)``, ``seen.NAME`` ``(C, H, W)`` and ``feature.NAME`` ``(F, )``."""
    unknown = [name for name in images if name not in encoder.modalities]
    if unknown:
        raise ConfigError(f'the example names modality {unknown[0]!r}; there are {list(encoder.modalities)}.')
    out, inputs = {}, {}
    device, training = next(encoder.backbone.parameters()).device, encoder.training
    try:
        encoder.cpu().eval()
        for name in encoder.modalities:
            image = np.ascontiguousarray(images[name] if name in images else _pattern(encoder, name))
            inputs[name] = encoder.transforms[name](image)
            out[f'image.{name}'], out[f'seen.{name}'] = torch.from_numpy(image), inputs[name]
        out.update({f'feature.{name}': feature for name, feature in _features(encoder, inputs).items()})
    finally:
        encoder.to(device).train(training)
    return out


def _pattern(encoder, name: str) -> np.ndarray:
    """A smooth image of a modality: waves of one standard deviation around each band's mean, in the units of the data."""
    entry, transform = encoder.modalities[name], encoder.transforms[name]
    steps = transform.loader.radiometry
    known = next((step for step in steps if getattr(step, 'mean', None) is not None and getattr(step, 'std', None) is not None), None)
    if known is not None:
        mean, std = known.mean, known.std
    else:
        mean, std = (np.zeros(entry['channels']) for _ in range(2))
        for values, found in zip((mean, std), statistics(entry)):
            values[encoder_order(entry)] = found.reshape(-1).numpy()
    size = getattr(encoder.backbone.streams[name].encoder, 'img_size', None)
    height, width = (size, size) if isinstance(size, int) else size or (64, 64)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    waves = np.stack([np.sin((rows * (1 + band % 3) + columns * (1 + band % 5)) * 2 * np.pi / 64) for band in range(len(mean))], -1)
    image = np.asarray(mean) + np.asarray(std) * waves
    return np.where(np.asarray(mean) >= 0, np.maximum(image, 0), image).astype(np.float32)
