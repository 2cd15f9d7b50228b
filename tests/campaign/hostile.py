"""Files and archives that somebody made to do harm: to run commands, to read or write elsewhere, to take all memory.

``ATTACKS[name](folder)`` makes the file and returns what opens it as a user would. A command that runs, or a write, leaves the file
``folder / 'HARM'``; :data:`SECRET` comes back if another file is read. An attack has failed if opening ends in one of the project's errors
or in the harmless part of the content, within 1 GiB and 60 s.
"""
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from kinds import digest, pairs, picture, read_by, tif, weights, write_pairs, write_store
from PIL import Image

import decur
from decur.datasets import PairedRasterDataset
from decur.prepare.archives import read_members
from decur.readers.depth import read_intrinsics
from decur.readers.files import build_reader
from decur.readers.store import record_keys
from decur.weights.io import load_file, save_file, unwrap
from decur.weights.metadata import read_metadata
from decur.weights.sources import load_from_source

SECRET = 'the secret of another file'
ATTACKS: dict[str, Callable] = {}


def attack(function: Callable) -> Callable:
    """Enter an attack under its function's name."""
    ATTACKS[function.__name__.replace('_', '-')] = function
    return function


class _Run:
    """Pickled, it is a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command, )


def command(folder: Path) -> str:
    """A shell command that leaves a trace."""
    return f'touch {folder / "HARM"}'


@attack
def pickle_in_pth(folder: Path) -> Callable:
    path = folder / 'weights.pth'
    torch.save(dict(weights(), extra=_Run(command(folder))), path)
    return lambda: load_file(path)


@attack
def bare_pickle(folder: Path) -> Callable:
    path = folder / 'weights.pth'
    path.write_bytes(pickle.dumps(dict(state_dict={}, extra=_Run(command(folder)))))
    return lambda: load_file(path)


@attack
def pickle_in_npy(folder: Path) -> Callable:
    path = folder / 'image.npy'
    np.save(path, np.array([_Run(command(folder))], dtype=object), allow_pickle=True)
    return read_by(path)


@attack
def pickle_behind_open_mmlab(folder: Path) -> Callable:
    path = folder / 'weights.pth'
    path.write_bytes(pickle.dumps(_Run(command(folder))))
    return lambda: load_from_source(f'open-mmlab://{path}')


def _described(folder: Path, name: str, **changes) -> Path:
    """Weights of an encoder of the project whose description was changed."""
    encoder = decur.apis.LoadedEncoder(dict(sar=dict(channels=2, encoder=dict(type='SmallResNet', stem_channels=4, base_channels=4))))
    entry = dict(channels=2, encoder=dict(type='SmallResNet', stem_channels=4, base_channels=4), **changes)
    path = folder / name
    state = {f'backbone.{key}': value for key, value in encoder.backbone.state_dict().items()}
    described = dict(format=1, modalities=dict(sar=entry), interactions={})
    if path.suffix == '.pth':
        torch.save(dict(state_dict=state, meta=dict(decur=described)), path)
    else:
        save_file(state, path, dict(decur=json.dumps(described)))
    return path


def _opened(path: Path) -> str:
    read_metadata(load_file(path), path)
    return str(decur.load(path))


@attack
def radiometry_that_is_a_command(folder: Path) -> Callable:
    path = _described(folder, 'weights.pth', radiometry=[dict(type='os.system', command=command(folder))])
    return lambda: _opened(path)


@attack
def radiometry_in_safetensors(folder: Path) -> Callable:
    path = _described(folder, 'weights.safetensors', radiometry=[dict(type='subprocess.run', args=command(folder), shell=True)])
    return lambda: _opened(path)


@attack
def encoder_that_is_a_command(folder: Path) -> Callable:
    path = _described(folder, 'weights.pth', attention={0: dict(type='os.system', command=command(folder))})
    return lambda: _opened(path)


@attack
def encoder_of_a_billion_channels(folder: Path) -> Callable:
    path = _described(folder, 'weights.pth', feature_channels=1 << 40)
    return lambda: _opened(path)


@attack
def encoder_of_terabytes(folder: Path) -> Callable:
    """Every number is allowed, the product of them is not."""
    attention = dict(type='RDA', num_heads=4, groups=2, stride=2, kernel_size=3, map_size=60000)
    path = _described(folder, 'weights.pth', attention={0: attention})
    return lambda: _opened(path)


@attack
def tensors_that_claim_terabytes(folder: Path) -> Callable:
    """One stored number, seen as a tensor of 2^40."""
    path = folder / 'weights.pth'
    torch.save(dict(state_dict={'backbone.streams.sar.encoder.conv1.weight': torch.zeros(1).expand(1 << 20, 1 << 20)}), path)
    return lambda: str(unwrap(load_file(path), path))


@attack
def bomb_in_pth(folder: Path) -> Callable:
    """A zip archive whose record is a gigabyte of zeros."""
    path = folder / 'weights.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02}.')
        with archive.open('archive/data/0', 'w', force_zip64=True) as file:
            for _ in range(1 << 10):
                file.write(bytes(1 << 20))
    return lambda: digest(load_file(path))


@attack
def vrt_named_tif(folder: Path) -> Callable:
    secret, path = folder / 'SECRET.tif', folder / 'in' / 'image.tif'
    secret.write_bytes(tif(picture(1)))
    path.parent.mkdir()
    path.write_text('<VRTDataset rasterXSize="40" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
                    f'<SourceFilename relativeToVRT="0">{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
                    '</VRTDataset>')
    return lambda: SECRET if build_reader(None)(str(path)).any() else 'nothing'


@attack
def list_that_leads_out(folder: Path) -> Callable:
    inside = folder / 'data'
    inside.mkdir()
    write_pairs(inside)
    for part in ('rgb', 'label'):
        (folder / part).mkdir()
        Image.fromarray(picture() if part == 'rgb' else picture(1)[..., 0] % 3).save(folder / part / 'secret.png')
    (inside / 'train.txt').write_text('../../rgb/secret\n')
    return lambda: SECRET if len(pairs(inside)) and pairs(inside)[0]['images']['rgb'].any() else 'nothing'


@attack
def list_with_an_absolute_path(folder: Path) -> Callable:
    inside = folder / 'data'
    inside.mkdir()
    write_pairs(inside)
    (folder / 'SECRET.png').write_bytes((inside / 'rgb' / 'scene_1.png').read_bytes())
    (inside / 'train.txt').write_text(f'{folder}/SECRET\n')
    return lambda: SECRET if pairs(inside)[0]['images']['rgb'].any() else 'nothing'


def _tar(path: Path, *members: tuple) -> Path:
    mode = 'w:gz' if path.suffix == '.gz' else 'w'
    with tarfile.open(path, mode) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _taken(path: Path) -> str:
    return digest([(str(p), data) for p, data in read_members([path], lambda p: True)])


@attack
def tar_that_writes_elsewhere(folder: Path) -> Callable:
    path = _tar(folder / 's1.tar.gz', (tarfile.TarInfo('../HARM'), b'x'), (tarfile.TarInfo(str(folder / 'HARM')), b'x'))
    return lambda: _taken(path)


@attack
def tar_with_a_link(folder: Path) -> Callable:
    (folder / 'SECRET').write_text(SECRET)
    info = tarfile.TarInfo('s1/0000200/VV.tif')
    info.type, info.linkname = tarfile.SYMTYPE, str(folder / 'SECRET')
    path = _tar(folder / 's1.tar.gz', (info, b''))
    return lambda: str(list(read_members([path], lambda p: True)))


@attack
def tar_bomb(folder: Path) -> Callable:
    path = _tar(folder / 's1.tar.gz', (tarfile.TarInfo('s1/0000200/VV.tif'), bytes(512 << 20)))
    return lambda: _taken(path)


@attack
def tar_of_a_claimed_size(folder: Path) -> Callable:
    info = tarfile.TarInfo('s1/0000200/VV.tif')
    info.size = 1 << 40
    (folder / 's1.tar').write_bytes(info.tobuf() + bytes(2048))
    return lambda: _taken(folder / 's1.tar')


@attack
def tar_with_a_name_of_a_gigabyte(folder: Path) -> Callable:
    info = tarfile.TarInfo('././@LongLink')
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    with open(folder / 's1.tar', 'wb') as file:
        file.write(info.tobuf())
        file.truncate(1 << 33)  # a sparse file: it takes no space
    return lambda: _taken(folder / 's1.tar')


def _tiff(width: int, height: int, bands: int) -> bytes:
    """A TIFF of 200 bytes that claims a size: tags ``(tag, type, count, value)`` and nothing else."""
    entries = ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, bands),
               (278, 4, 1, height), (279, 4, 1, 100))
    return struct.pack('<2sHI', b'II', 42, 8) + struct.pack('<H', len(entries)) + b''.join(
        struct.pack('<HHII', *entry) for entry in entries) + bytes(4)


@attack
def tiff_of_two_billion_pixels(folder: Path) -> Callable:
    path = folder / 'image.tif'
    path.write_bytes(_tiff(60000, 60000, 1))
    return read_by(path)


@attack
def tiff_of_65535_bands(folder: Path) -> Callable:
    path = folder / 'image.tif'
    path.write_bytes(_tiff(40, 40, 65535))
    return read_by(path)


@attack
def png_bomb(folder: Path) -> Callable:
    path, size = folder / 'image.png', 60000

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    rows = zlib.compressobj()
    data = b''.join(rows.compress(bytes(1 + 3 * size)) for _ in range(size // 100)) + rows.flush()
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', size, size, 8, 2, 0, 0, 0)) + chunk(b'IDAT', data)
                     + chunk(b'IEND', b''))
    return read_by(path)


@attack
def npy_of_a_terabyte(folder: Path) -> Callable:
    path = folder / 'image.npy'
    header = repr(dict(descr='<f4', fortran_order=False, shape=(1 << 20, 1 << 18, 1))).encode()
    header += b' ' * (-(len(header) + 11) % 64) + b'\n'
    path.write_bytes(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header)
    return read_by(path)


@attack
def deep_json(folder: Path) -> Callable:
    path = folder / 'intrinsics.json'
    path.write_text('[' * 500000)
    return lambda: digest(read_intrinsics(path))


@attack
def safetensors_of_a_claimed_header(folder: Path) -> Callable:
    path = folder / 'weights.safetensors'
    path.write_bytes(struct.pack('<Q', 1 << 60) + b'{}')
    return lambda: digest(load_file(path))


def _claiming_store(folder: Path, **claims) -> Callable:
    write_store(folder)
    path = folder / 'manifest.json'
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **claims)))
    return lambda: str(len(record_keys(folder)))


@attack
def store_of_a_claimed_raster(folder: Path) -> Callable:
    return _claiming_store(folder, rasters={'0': [1 << 40, 1 << 40]})


@attack
def store_of_a_claimed_format(folder: Path) -> Callable:
    return _claiming_store(folder, key_columns={'id': ['{:0999999999d}']})


@attack
def name_that_is_no_file(folder: Path) -> Callable:
    return lambda: str(PairedRasterDataset(
        modalities=dict(rgb=dict(channels=3, files=dict(folder='x' * 5000, suffix='.png'))), data_root=str(folder),
        pipeline=[dict(type='LoadModalities')])[0])


@attack
def sample_that_is_no_file(folder: Path) -> Callable:
    write_pairs(folder)
    (folder / 'train.txt').write_text('y' * 5000 + '\n')
    return lambda: digest(pairs(folder)[0]['images'])


@attack
def list_of_null_bytes(folder: Path) -> Callable:
    write_pairs(folder)
    (folder / 'train.txt').write_bytes(b'scene_1\0/../../etc/passwd\n')
    return lambda: digest(pairs(folder)[0]['images'])
