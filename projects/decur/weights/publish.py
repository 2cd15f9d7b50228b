"""A checkpoint for others: weights and description, without the state of training, under a name that has its digest."""
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from ..errors import ConfigError, WeightsError
from ..version import __version__
from ..writing import naming, output_folder, write_json
from .io import load_file, save_file, unwrap
from .metadata import describe_config, read_metadata
from .sources import file_digest

#: What is kept of a checkpoint's ``meta`` beside its description.
KEPT = ('epoch', 'iter', 'dataset_meta', 'mmengine_version')


def publish(source: str | Path, target: str | Path, cfg: Mapping | None = None) -> tuple:
    """Write the weights of a checkpoint with their description.

    Args:
        source (str | Path): A checkpoint of this project.
        target (str | Path): ``X.pth``: the file is called ``X-<first 8 letters of its SHA-256>.pth``.
        cfg (Config, optional): Config of a checkpoint that does not describe itself.

    Returns:
        tuple[Path, dict]: The file, and what ``X-<digest>.json`` says of it: ``file``, ``sha256``, ``size`` in bytes, ``parameters``,
        ``decur`` (version), ``modalities`` (bands, statistics, encoder, ...), ``objective``, ``classes``, ``epoch``, ``iter``.

    Raises:
        WeightsError: If the source cannot be read or does not say which encoders it holds, or what was written is not what was read.
        ConfigError: If the target is no ``.pth``.
        WriteError: If it cannot be written.
    """
    source, target = Path(source), Path(target)
    if target.suffix != '.pth':
        raise ConfigError(f'{target}: a published checkpoint is a .pth file (decur.load reads it, and so do the libraries of OpenMMLab).')
    checkpoint = load_file(source)
    described = read_metadata(checkpoint, source)
    if not described and cfg is not None:
        described = describe_config(cfg)
    if not described:
        raise WeightsError(f'{source} does not say which encoders it holds, so nobody could load it without more: give its config '
                           '(--config CONFIG).')
    weights = {name: value.detach().cpu().clone() for name, value in unwrap(checkpoint, source).items()}
    meta = checkpoint.get('meta') if isinstance(checkpoint.get('meta'), Mapping) else {}
    kept = {key: meta[key] for key in KEPT if key in meta}
    output_folder(target.parent)
    # In a folder beside the target until it is checked: its name is not known before.
    with naming(target), tempfile.TemporaryDirectory(dir=target.parent, prefix='.publish-') as folder:
        written = Path(folder) / target.name
        digest = write_described(weights, described, written, kept)
        path = target.with_name(f'{target.stem}-{digest[:8]}.pth')
        written.replace(path)
    card = dict(file=path.name, sha256=digest, size=path.stat().st_size, parameters=sum(value.numel() for value in weights.values()),
                decur=__version__, **{key: value for key, value in described.items() if key != 'version'},
                classes=list((kept.get('dataset_meta') or {}).get('classes') or ()),
                **{key: kept[key] for key in ('epoch', 'iter') if key in kept})
    write_json(path.with_suffix('.json'), card)
    return path, card


def write_described(weights: Mapping, described: Mapping, path: Path, kept: Mapping | None = None) -> str:
    """Write weights that say what they are, read the file again and compare; every checkpoint that is given to others is written so.

    Args:
        weights (dict[str, Tensor]): On the CPU.
        described (dict): From :func:`~decur.weights.metadata.describe`.
        path (Path): ``.pth``: a checkpoint with the description under ``meta.decur``; ``.safetensors``: the same in the file's head.
        kept (dict, optional): What else goes into ``meta`` of a ``.pth``.

    Returns:
        str: SHA-256 of the file, in hexadecimal letters.

    Raises:
        WeightsError: If what is read is not what was written.
        WriteError: If it cannot be written.
    """
    if path.suffix == '.safetensors':
        save_file(weights, path, dict(decur=json.dumps(described)))
    else:
        save_file(dict(meta=dict(kept or {}, decur=described), state_dict=weights), path)
    _check(path, weights, described)
    return file_digest(path)


def _check(path: Path, weights: Mapping, described: Mapping) -> None:
    """Read back what was written."""
    found = load_file(path)
    read = unwrap(found, path)
    if read.keys() != weights.keys() or not all(torch.equal(read[name], value) for name, value in weights.items()):
        raise WeightsError(f'{path}: the weights that were written are not those that were read; is the disk sound?')
    if read_metadata(found, path) != described:
        raise WeightsError(f'{path}: the description that was written is not the one that was read.')
