"""Where weights come from: a name, a file, an address, the zoos of torchvision and OpenMMLab, a Hugging Face repository; all as one string.

Importing :mod:`decur` puts :func:`load_from_source` behind everything in MMEngine that reads a checkpoint (``load_from``, ``resume``,
``init_cfg``, ``load_checkpoint``), whose own loaders fall back to unpickling.
"""
import hashlib
import http.client
import logging
import os
import re
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    _get_mmengine_home,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from tqdm import tqdm

from ..errors import WeightsError, closest, first_line
from ..writing import WriteError, replacing, write_bytes
from .hub import CONFIG, WEIGHTS, from_hub
from .io import load_file, read_head
from .zoo import Weights, hint, named_weights

#: Schemes under which weights have names: whose they are, and MMEngine's table of names to addresses (or files in its home).
_ZOOS = {
    'torchvision': ('torchvision', get_torchvision_models),
    'modelzoo': ('torchvision', get_torchvision_models),
    'open-mmlab': ('OpenMMLab', get_external_models),
    'openmmlab': ('OpenMMLab', get_external_models),
    'mmcls': ('OpenMMLab', get_mmcls_models),
}


def fetch(source, sha256: str | None = None) -> Path:
    """The local file of a source of weights, downloaded once if need be.

    Args:
        source (str or Path): A path; the name of published weights (:func:`~decur.weights.zoo.list_weights`), also as ``decur://NAME``;
            ``http(s)://...``; ``torchvision://resnet50`` (ImageNet weights of that name, version 1); ``open-mmlab://NAME`` or
            ``mmcls://NAME``; ``hf://OWNER/REPO`` of a model that :func:`~decur.apis.hub.push_to_hub` wrote, or ``hf://OWNER/REPO/FILE``,
            optionally ``REPO@REVISION`` (needs ``huggingface_hub``). A path may be the folder of such a model. A file that exists is taken
            before weights of that name.
        sha256 (str, optional): The digest (or its first letters) that the file must have.

    Returns:
        Path: The file.

    Raises:
        WeightsError: If there is no such file, it cannot be fetched, or its digest is another.
    """
    source = str(source)
    published = named_weights(source)
    scheme, _, name = source.partition('://')
    address = _zoo_address(source, scheme, name) if name and scheme in _ZOOS else source
    if published is not None:
        path = _fetch_named(published)
    elif not name:
        path = Path(source).expanduser()
        if not os.path.exists(path):  # unlike Path.exists, also of a name that is too long
            raise WeightsError(f'{str(path)[:200]}: no such checkpoint file{hint(source)}')
        if path.is_dir():
            if not (path / WEIGHTS).is_file():
                raise WeightsError(f'{path}: a folder without {WEIGHTS} and {CONFIG}, so it is no model that save_pretrained wrote. Give a '
                                   'checkpoint file.')
            path = path / WEIGHTS
        read_head(path)
    elif address.startswith(('http://', 'https://')):
        path = download(address, sha256)
    elif scheme in _ZOOS:
        path = Path(_get_mmengine_home()) / address
    elif scheme == 'hf':
        path = from_hub(source)
    else:
        raise WeightsError(f'{source}: unknown kind of source {scheme!r}, which is not read. Fetch the file and give its path, or use '
                           'http(s)://, torchvision://NAME or hf://OWNER/REPO/FILE.')
    if sha256:
        check_sha256(path, sha256)
    return path


def _fetch_named(published: Weights) -> Path:
    """The file of published weights, downloaded once, with its digest checked; what must be known before use is logged."""
    if published.address:
        try:
            path = download(published.url, published.sha256)
        except WeightsError as error:
            raise WeightsError(f'{published.name}: {error}') from error
    else:
        path = folder_of_downloads() / published.file
        if not path.is_file():
            raise WeightsError(f'{published.name}: only a browser can download these weights. Open {published.page}, and save the file as '
                               f'{path}.')
    _check_published(path, published)
    if published.note:
        print_log(f'{published.name}: {published.note}', logger='current', level=logging.WARNING)
    return path


def _check_published(path: Path, published: Weights) -> None:
    """Compare a file with the published digest or, where none is known, with the one that it had on first use.

    The digest is computed once and noted beside the file, with the file's size and time of change, and again when one of these differs.
    """
    note = path.with_name(f'.{path.name}.sha256')
    status = path.stat()
    stamp = [str(status.st_size), str(status.st_mtime_ns)]
    parts = note.read_text(encoding='utf-8', errors='replace').split() if note.is_file() else ()
    noted, *noted_stamp = parts if len(parts) == 3 else ('', )
    digest = noted
    if noted_stamp != stamp:
        digest = file_digest(path)
        expected = published.sha256 or noted
        if not digest.startswith(expected):
            known = (f'{published.page} publishes {expected} ({published.digest})' if published.sha256 else
                     f'the file had {expected} when it was first used ({note})')
            raise WeightsError(f'{published.name}: the SHA-256 of {path} is {digest}, but {known}. Delete the file to have it fetched '
                               'again.')
        if not expected:
            print_log(f'{published.name}: no digest of {published.file} is known here, so nothing tells whether it is what was published. '
                      f'Its SHA-256 is {digest}; it is noted in {note} and must be the same from now on.', logger='current',
                      level=logging.WARNING)
        if is_main_process():
            try:
                write_bytes(note, ' '.join([digest, *stamp]).encode())
            except (OSError, WriteError):  # a folder of weights that many share, and only one may write
                pass
    if not digest.startswith(published.sha256):
        raise WeightsError(f'{note} says that {path} has the SHA-256 {digest}, but {published.page} publishes {published.sha256}. Delete '
                           'both files to have them made again.')


def load_from_source(filename, map_location=None) -> dict:
    """MMEngine's loader of checkpoints from anywhere: :func:`fetch`, then :func:`~decur.weights.io.load_file`."""
    return load_file(fetch(filename), map_location=map_location)


def register() -> None:
    """Put :func:`load_from_source` in the place of all of MMEngine's loaders."""
    CheckpointLoader.register_scheme(prefixes=list(CheckpointLoader._schemes), loader=load_from_source, force=True)


def _zoo_address(source: str, scheme: str, name: str) -> str:
    owner, table = _ZOOS[scheme][0], _ZOOS[scheme][1]()
    if owner == 'OpenMMLab':
        name = get_deprecated_model_names().get(name, name)
    # Version 1 of torchvision's: what the published code and OpenMMLab's zoo started from.
    found = next((table[key] for key in (name, f'{name}.imagenet1k_v1', f'{name}.default') if key in table), None)
    if found is None:
        raise WeightsError(f'{source}: {owner} has no weights of that name{closest(name, table)}')
    return found


def folder_of_downloads() -> Path:
    """``$TORCH_HOME/hub/checkpoints``, where PyTorch, torchvision and OpenMMLab keep weights too."""
    return Path(torch.hub.get_dir()) / 'checkpoints'


def download(url: str, sha256: str | None = None) -> Path:
    """Fetch a checkpoint into ``$TORCH_HOME/hub/checkpoints`` unless it is there.

    In a distributed run the first process fetches and the others wait. ``torch.hub`` and ``pooch`` keep a file whose connection ended early
    where no digest is given; here what was announced must have come, and what came must be a whole checkpoint.

    Args:
        url (str): http(s) address.
        sha256 (str, optional): The digest (or its first letters) that what is fetched must have.

    Returns:
        Path: The local file.

    Raises:
        WeightsError: If it cannot be fetched, or what is fetched has another digest.
    """
    folder = folder_of_downloads()
    name = Path(unquote(urlparse(url).path)).name
    if name in ('', '..') or not name.isprintable() or len(name.encode()) > 200:
        # File systems take 255 bytes, and the temporary name of a download is longer.
        name = hashlib.sha256(url.encode()).hexdigest()[:32] + re.sub(r'[^.\w]', '', Path(name).suffix, flags=re.ASCII)[:16]
    path = folder / name
    # Which address a file is from: many are called model.safetensors. One that was put there by hand has no such note.
    address = hashlib.sha256(url.encode()).hexdigest()
    note = folder / f'.{path.name}.address'
    failure = None
    try:
        if path.is_file() and note.is_file() and note.read_bytes() != address.encode():
            path = path.with_name(f'{path.stem}-{address[:8]}{path.suffix}')
        if is_main_process() and not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _fetch(url, path, sha256)
            if not path.stem.endswith(f'-{address[:8]}'):
                write_bytes(note, address.encode())
    except (OSError, ValueError, http.client.HTTPException) as error:  # a WeightsError is a ValueError; so is a bad address
        failure = error
    barrier()
    if not path.is_file():
        reason = 'see the first process' if failure is None else str(failure) if isinstance(failure, WeightsError) else first_line(failure)
        reason = reason.rstrip('.')
        raise WeightsError(f'{url}: could not be fetched ({reason}). Fetch it by hand to {path}.') from failure
    return path


def _fetch(url: str, path: Path, sha256: str | None) -> None:
    """Write what is at an address to a file, whole and with the right digest or not at all."""
    # Nothing but http(s), wherever a server sends us on to: urllib's usual opener also reads file:// and ftp://.
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.UnknownHandler,
                    urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={'User-Agent': 'decur'})
    with opener.open(request, timeout=60) as response, replacing(path) as temporary:
        with open(temporary, 'wb') as file:
            # Python returns less than was announced without an error when a connection ends early.
            announced = response.headers.get('Content-Length') or ''
            announced = int(announced) if re.fullmatch(r'[0-9]{1,18}', announced.strip()) else None
            with tqdm(total=announced, disable=not os.isatty(2), unit='B', unit_scale=True) as bar:
                while block := _read(response):
                    file.write(block)
                    bar.update(len(block))
            written = file.tell()
        if announced is not None and written != announced:
            raise WeightsError(f'the connection ended after {written} of {announced} bytes')
        if sha256:
            check_sha256(temporary, sha256, f'what is at {url}')
        else:
            # A length that was not announced, or wrongly, hides a cut; a file that was cut must not stay, or it would fail for ever.
            try:
                load_file(temporary, suffix=path.suffix)
            except WeightsError as error:
                raise WeightsError(f'what was sent is no whole checkpoint{str(error).removeprefix(str(temporary))}') from error


def _read(response) -> bytes:
    """Up to a mebibyte of an answer. What breaks off is the connection, not the file that is being written."""
    try:
        return response.read(1 << 20)
    except OSError as error:
        raise WeightsError(f'the connection broke off, {first_line(error)}') from error


def check_sha256(path: Path, expected: str, name: str | None = None) -> None:
    """Raise :class:`WeightsError` unless the file's SHA-256 digest starts with ``expected`` (hexadecimal); ``name`` stands for it there."""
    found = file_digest(path)
    if not found.startswith(expected.lower()):
        remedy = 'Nothing was kept; correct the digest or the address' if name else 'Delete it and fetch it again, or correct the digest'
        raise WeightsError(f'{name or path}: its SHA-256 is {found}, expected {expected}. {remedy}.')



def file_digest(path: Path) -> str:
    """A file's SHA-256 digest, in hexadecimal letters."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
