"""Read and write checkpoint files, without ever running code that a file holds.

A ``.pth`` file is a pickle, and a pickle can run anything. :func:`load_file` reads one with ``torch.load(weights_only=True)`` and a
short list of the further types that an MMEngine checkpoint holds (log buffers, NumPy scalars, the data set's meta information).
Nothing falls back to the unsafe reader.
"""
import argparse
import json
import os
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from ..errors import WeightsError, first_line, some
from ..writing import naming, replacing

#: Key in the metadata of a safetensors file of this project under which its checksum is (the format itself has none).
CHECKSUM = 'decur_crc32'

#: Keys under which training programs put the weights, in the order in which they are looked for.
WRAPPERS = ('state_dict', 'model', 'module')

# The statistics that a HistoryBuffer pickles by name. Protocol 2 writes them as getattr(HistoryBuffer, name); giving the file the real
# ``getattr`` would let it reach any attribute of any allowed type.
_STATISTICS = ('min', 'max', 'mean', 'current')


def _statistic(owner, name):
    """Stand for ``getattr`` while a file is read: only the four statistics of a log buffer."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL getattr({owner!r}, {name!r})')
    return getattr(owner, name)


def _allowed() -> list:
    """The types beside tensors and plain containers that a checkpoint may hold; none of them runs code of the file's choice."""
    multiarray = np._core.multiarray
    allowed = [slice, np.ndarray, np.dtype, HistoryBuffer, ConfigDict, argparse.Namespace, (_statistic, 'builtins.getattr')]
    for name in ('_reconstruct', 'scalar'):
        # Files written under numpy 1 name the old module.
        allowed += [(getattr(multiarray, name), f'{package}.multiarray.{name}') for package in ('numpy._core', 'numpy.core')]
    allowed += [dtype for dtype in vars(np.dtypes).values() if isinstance(dtype, type) and issubclass(dtype, np.dtype)]
    return allowed


def load_file(path, map_location='cpu', suffix: str | None = None, mmap: bool = False) -> dict:
    """Read a checkpoint file as it is, running no code from it.

    Args:
        path (str or Path): A ``.pth``/``.pt`` file of ``torch.save`` (new or old format) or a ``.safetensors`` file.
        map_location: Where the tensors go, as in :func:`torch.load`; a device or its name for safetensors.
        suffix (str, optional): The suffix that tells the format. Defaults to the path's.
        mmap (bool): Read the tensors' values of a new ``.pth`` file only when they are used, so that what stands beside them (``meta``) is
            read fast; damaged values are not noticed then. Defaults to False.

    Returns:
        dict: What the file holds. A safetensors file gives ``{name: tensor}``.

    Raises:
        WeightsError: If the file is missing, is no checkpoint, is damaged or truncated, or holds anything but weights and plain data.
    """
    path = Path(path).expanduser()
    head = read_head(path)
    if not head:
        raise WeightsError(f'{path}: the file is empty. Copy or download it again.')
    if (suffix or path.suffix) == '.safetensors':
        return _load_safetensors(path, map_location)
    # 'PK' opens a zip archive (torch >= 1.6), 0x80 a pickle (older torch).
    if head[:2] != b'PK' and head[0] != 0x80:
        hint = ''
        if head.startswith(b'version https:/'):
            hint = ' It is a Git LFS pointer: fetch the file itself with `git lfs pull`.'
        elif head.lstrip().startswith(b'<'):
            hint = ' It looks like a web page: the download went wrong.'
        raise WeightsError(f'{path}: not a checkpoint (it starts with {head!r}); expected a file of torch.save or a .safetensors file.'
                           f'{hint}')
    if head[:2] == b'PK' and not mmap:
        _check_records(path)
    try:
        with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # of an unusual pickle protocol
            # Files of torch < 1.6 are no archives and cannot be mapped.
            content = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap and head[:2] == b'PK')
    except Exception as error:  # damaged files raise anything: EOFError, KeyError, RuntimeError, UnicodeDecodeError, ...
        raise _explain(path, error) from error
    if not isinstance(content, Mapping):
        raise WeightsError(f'{path}: not a checkpoint; it holds a {type(content).__name__}, expected a dict of tensors or a dict that '
                           f'has one under {", ".join(WRAPPERS)}.')
    return content


def read_head(path: Path) -> bytes:
    """The first bytes of a file."""
    try:
        if not path.is_file():
            raise WeightsError(f'{path}: no such checkpoint file.')
        with open(path, 'rb') as file:
            return file.read(16)
    except WeightsError:
        raise
    except (OSError, ValueError) as error:  # no permission, a name that is too long or holds a null byte
        raise WeightsError(f'{str(path)[:200]}: cannot be read ({getattr(error, "strerror", None) or error}).') from error


def _check_records(path: Path) -> None:
    """Verify the checksum of every record of a zip archive, which torch.load does not, and refuse compressed and overlapping records.

    Files that were written without checksums (``torch.serialization.set_crc32_options(False)``) have nothing to verify.
    """
    cure = 'Copy or download it again.'
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if any(record.filename.endswith('/constants.pkl') for record in records):
                raise WeightsError(f'{path}: a TorchScript archive, which holds code. Save the state_dict of the model instead.')
            # torch.save stores records as they are, so what they hold cannot be more than the file.
            if any(record.compress_type != zipfile.ZIP_STORED for record in records) or (
                    sum(record.file_size for record in records) > path.stat().st_size):
                raise WeightsError(f'{path}: a zip archive with compressed or overlapping records, which torch.save does not write. '
                                   'If it was packed again, load it with torch.load and save it with torch.save.')
            broken = archive.testzip() if any(record.CRC for record in records) else None
    except WeightsError:
        raise
    except Exception as error:  # BadZipFile, EOFError, NotImplementedError (encrypted), struct.error, ...
        raise WeightsError(f'{path}: the file is truncated or damaged ({first_line(error)}). {cure}') from error
    if broken is not None:
        raise WeightsError(f'{path}: the file is damaged: the checksum of its record {broken!r} is wrong. {cure}')


def _explain(path, error) -> WeightsError:
    text = str(error)
    if isinstance(error, pickle.UnpicklingError):
        found = re.search(r'GLOBAL (.+?) (?:was not|whose module)', text) or re.search(r'GLOBAL (\S.*)', text)
        if found or 'unrecognized function' in text or 'Can only' in text:
            what = found.group(1).strip() if found else text.splitlines()[-1]
            return WeightsError(f'{path}: refused, because the file holds {what}, which is not weights; reading it could run code. '
                                'If you trust where it comes from, save its tensors alone: torch.save(model.state_dict(), ...) or a '
                                '.safetensors file.')
    if zipfile.is_zipfile(path) and 'data.pkl' in text:
        return WeightsError(f'{path}: a zip archive, but not one of torch.save ({text.splitlines()[0]}).')
    return WeightsError(f'{path}: the file is truncated or damaged ({first_line(error)}). Copy or download it again.')


def _load_safetensors(path, map_location) -> dict:
    from safetensors import safe_open
    try:
        with safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except Exception as error:  # SafetensorError, OSError, and what a strange head raises: KeyError of a type, MemoryError, ...
        raise WeightsError(f'{path}: not a safetensors file, or truncated ({first_line(error)}). Copy or download it again.') from error
    expected = metadata.pop(CHECKSUM, None)
    if expected is not None and expected != _checksum(content, metadata):
        raise WeightsError(f'{path}: the file is damaged: its checksum is wrong. Copy or download it again.')
    if map_location is None or str(map_location) == 'cpu':
        return content
    if callable(map_location):
        raise WeightsError(f'{path}: a .safetensors file needs a device as map_location, not a function.')
    return {name: tensor.to(map_location) for name, tensor in content.items()}


def _checksum(content: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """CRC-32 of names, types, shapes and values of tensors and of the metadata, in the order of their names."""
    value = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name, tensor in sorted(content.items()):
        value = zlib.crc32(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode(), value)
        value = zlib.crc32(tensor.contiguous().flatten().view(torch.uint8).numpy(), value)
    return f'{value:08x}'


def unwrap(checkpoint, path='checkpoint') -> dict:
    """Take the weights out of what a training program saved.

    Looks under ``state_dict``, ``model`` and ``module``, one inside another if need be, and drops a ``module.`` before keys
    (``DistributedDataParallel`` of the model or of a part of it).

    Args:
        checkpoint (dict): What :func:`load_file` returned.
        path (str or Path): Named in errors.

    Returns:
        dict: ``{name: tensor}``, in the file's order.

    Raises:
        WeightsError: If there are no weights, or something that is not a tensor stands among them.
    """
    weights = checkpoint
    while True:
        # A dict's own methods: a subclass out of a file may have others.
        inner = next((dict.get(weights, key) for key in WRAPPERS if isinstance(dict.get(weights, key), dict)), None)
        if inner is None:
            break
        weights = inner
    weights = dict(dict.items(weights))
    wrong = [key for key, value in weights.items() if not isinstance(key, str) or not isinstance(value, torch.Tensor)]
    if not weights or len(wrong) == len(weights):
        raise WeightsError(f'{path}: found no weights; its keys are {some(weights)}. Expected tensors, or a dict of tensors under '
                           f'{", ".join(WRAPPERS)}.')
    if wrong:
        raise WeightsError(f'{path}: not tensors: {some(wrong)}. Expected nothing but tensors among the weights.')
    _check_storage(weights, path)
    bare = {key.removeprefix('module.'): value for key, value in weights.items()}
    if len(bare) < len(weights):
        raise WeightsError(f'{path}: it holds some weights twice, with and without "module." before their names. Remove one of the two.')
    return bare


def _check_storage(weights: Mapping, path) -> None:
    """Raise :class:`WeightsError` for tensors that are not plain arrays, or that claim far more values than the file holds."""
    odd = [key for key, value in weights.items() if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested]
    if odd:
        raise WeightsError(f'{path}: sparse, quantized or empty (meta) tensors are not read: {some(odd)}.')
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in weights.values()}
    claimed, held = sum(value.numel() * value.element_size() for value in weights.values()), sum(storages.values())
    if claimed > 16 * held + (1 << 20):  # tied weights and expanded buffers are a few times what is stored
        raise WeightsError(f'{path}: refused, because its tensors claim {claimed:,} bytes and the file holds {held:,}.')


def save_file(content, path, metadata=None) -> Path:
    """Write a checkpoint so that a stop half-way leaves no half file.

    Args:
        content (dict): For ``.safetensors`` ``{name: tensor}``; otherwise anything :func:`torch.save` takes.
        path (str or Path): Where to. The suffix chooses the format. Folders are made.
        metadata (dict[str, str], optional): Stored in the head of a safetensors file.

    Returns:
        Path: ``path``.

    Raises:
        WriteError: If it cannot be written; what was there before is whole.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        if path.suffix == '.safetensors':
            _save_safetensors(content, temporary, {str(key): str(value) for key, value in (metadata or {}).items()})
        else:
            with open(temporary, 'wb') as file:
                _save_torch(content, file)
    return path


def _save_safetensors(content: Mapping, path: Path, metadata: Mapping) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file as save_safetensors
    # safetensors refuses views that share memory and wants contiguous tensors.
    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in content.items()}
    path.touch()
    mode = path.stat().st_mode  # the library makes files that nobody else may read
    try:
        save_safetensors(content, path, metadata={**metadata, CHECKSUM: _checksum(content, metadata)})
    except SafetensorError as error:  # the system's error is in its text alone
        if number := re.search(r'os error (\d+)', str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise
    path.chmod(mode)


def _save_torch(content, file) -> None:
    failed = []

    class Writer:
        """Keeps the system's error, for which torch's writer raises one of its own."""

        flush = file.flush

        @staticmethod
        def write(data):
            try:
                return file.write(data)
            except OSError as error:
                failed.append(error)
                raise

    try:
        torch.save(content, Writer)
        file.flush()
    except RuntimeError as error:
        if failed:
            raise failed[0] from error
        raise

