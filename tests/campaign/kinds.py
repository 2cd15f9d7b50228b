"""One good file of every kind that is read, how it is read, and whether its format has a checksum.

``KINDS[name](folder)`` makes it and returns ``(path, read, checked)``: the file, a function without arguments that reads it as the project
does and returns a string that depends on all of its content, and whether damage must show (the format has a checksum over its content).
"""
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import decur  # noqa: F401  imported before processes are forked
from decur.datasets import PairedRasterDataset
from decur.prepare.archives import read_members
from decur.prepare.mat import read_mat
from decur.prepare.store_writer import StoreWriter, encode
from decur.readers.depth import read_intrinsics
from decur.readers.files import build_reader
from decur.readers.store import close_environment, read_manifest, read_record
from decur.registry import READERS
from decur.weights.io import load_file, save_file
from decur_worlds.landcover_layouts import jp2

KINDS: dict[str, Callable] = {}


def kind(function: Callable) -> Callable:
    """Enter a kind under its function's name."""
    KINDS[function.__name__.replace('_', '-')] = function
    return function


def digest(value) -> str:
    """A string that depends on every number and word in it."""
    found = hashlib.sha256()

    def add(x):
        if isinstance(x, dict):
            for key in sorted(x, key=str):
                add(str(key))
                add(x[key])
        elif isinstance(x, list | tuple):
            found.update(str(len(x)).encode())
            for one in x:
                add(one)
        elif isinstance(x, torch.Tensor):
            add(x.float().numpy() if x.dtype == torch.bfloat16 else x.numpy())
        elif isinstance(x, np.ndarray):
            found.update(f'{np.ma.getdata(x).dtype} {x.shape}'.encode())
            found.update(np.ascontiguousarray(np.ma.filled(x, 0) if np.ma.isMaskedArray(x) else x).tobytes())
            found.update(np.ma.getmaskarray(x).tobytes())
        else:
            found.update(repr(x).encode())

    add(value)
    return found.hexdigest()


def picture(channels: int = 3, dtype=np.uint8, size: int = 40) -> np.ndarray:
    """Smooth and noisy, so that compressed files are of both."""
    rng = np.random.default_rng(5)
    smooth = np.add.outer(np.arange(size), np.arange(size))[..., None] * 2
    image = smooth + rng.integers(0, 40, (size, size, channels))
    return image.astype(dtype) if dtype != np.float32 else (image / 7).astype(dtype)


def tif(image: np.ndarray, **options) -> bytes:
    """``(H, W, C)`` as a GeoTIFF in memory."""
    from rasterio.io import MemoryFile
    from rasterio.transform import from_origin
    with MemoryFile() as memory:
        with memory.open(driver='GTiff', height=image.shape[0], width=image.shape[1], count=image.shape[2], dtype=image.dtype,
                         crs='EPSG:32632', transform=from_origin(5e5, 5e6, 10, 10), **options) as file:
            file.write(image.transpose(2, 0, 1))
        return bytes(memory.getbuffer())


def read_by(path: Path, **reader) -> Callable:
    """Reading with a reader of a modality."""
    return lambda: digest(build_reader(reader or None)(str(path)))


@kind
def tif_deflate(folder: Path) -> tuple:
    path = folder / 'image.tif'
    path.write_bytes(tif(picture(3, np.uint16), compress='deflate', tiled=True, blockxsize=16, blockysize=16))
    return path, read_by(path), False


@kind
def tif_float(folder: Path) -> tuple:
    path = folder / 'image.tif'
    path.write_bytes(tif(picture(2, np.float32)))
    return path, read_by(path), False


@kind
def jpeg2000(folder: Path) -> tuple:
    path = folder / 'image.jp2'
    path.write_bytes(jp2(picture()))
    return path, read_by(path, type='RasterioReader'), False


@kind
def png(folder: Path) -> tuple:
    path = folder / 'image.png'
    Image.fromarray(picture()).save(path)
    return path, read_by(path), True


@kind
def jpeg(folder: Path) -> tuple:
    path = folder / 'image.jpg'
    Image.fromarray(picture()).save(path)
    return path, read_by(path), False


@kind
def depth_png(folder: Path) -> tuple:
    path = folder / 'depth.png'
    Image.fromarray((picture(1, np.uint16)[..., 0] * 20 + 800).astype(np.uint16)).save(path)
    return path, lambda: digest(READERS.build(dict(type='DepthReader'))(str(path))), True


@kind
def npy(folder: Path) -> tuple:
    path = folder / 'image.npy'
    np.save(path, picture(2, np.float32))
    return path, read_by(path), False


def pairs(folder: Path) -> PairedRasterDataset:
    """RGB images and labels of :func:`write_pairs`."""
    return PairedRasterDataset(
        modalities=dict(rgb=dict(channels=3, files=dict(folder='rgb', suffix='.png'))), label=dict(folder='label', suffix='.png'),
        metainfo=dict(classes=('a', 'b', 'c')), data_root=str(folder), split='train.txt',
        pipeline=[dict(type='LoadModalities'), dict(type='LoadLabelMap')])


def write_pairs(folder: Path) -> None:
    """Two RGB images, their labels and a split list."""
    for name in ('scene_1', 'scene_2'):
        for part, image in (('rgb', picture()), ('label', picture(1)[..., 0] % 3)):
            (folder / part).mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / part / f'{name}.png')
    (folder / 'train.txt').write_text('scene_1\nscene_2\n')


@kind
def split_list(folder: Path) -> tuple:
    write_pairs(folder)
    return folder / 'train.txt', lambda: digest([pairs(folder).get_data_info(i)['sample_id'] for i in range(len(pairs(folder)))]), False


@kind
def label(folder: Path) -> tuple:
    write_pairs(folder)
    path = folder / 'label' / 'scene_2.png'
    return path, lambda: digest([pairs(folder)[i]['gt_seg_map'] for i in range(2)]), True


@kind
def intrinsics(folder: Path) -> tuple:
    path = folder / 'intrinsics.json'
    path.write_text(json.dumps({f'scene_{i}': [500. + i, 500., 320., 240.] for i in range(20)}))
    return path, lambda: digest(read_intrinsics(path)), False


@kind
def mat_5(folder: Path) -> tuple:
    import scipy.io
    path = folder / 'split.mat'
    names = np.array([f'scene_{i}' for i in range(50)], dtype=object)
    scipy.io.savemat(path, dict(split=dict(train=names, size=np.arange(12.).reshape(3, 4))), do_compression=True)
    return path, lambda: digest(read_mat(path, 'split')), False


@kind
def mat_73(folder: Path) -> tuple:
    import h5py
    path = folder / 'images.mat'
    with h5py.File(path, 'w') as file:
        file['images'] = picture(3).transpose(2, 1, 0)
    return path, lambda: digest(read_mat(path, 'images')), False


def write_store(folder: Path) -> Callable:
    """A store of four records, and what reads it."""
    writer = StoreWriter(folder, 'campaign')
    for i in range(4):
        writer.put(f'{i}', encode({f'B{b}': picture(1, np.uint16)[..., 0] + i for b in range(2)}))
    writer.finish(dict(keys=[f'{i}' for i in range(4)]))

    def read() -> str:
        close_environment(folder)
        read_manifest(folder)
        return digest([read_record(str(folder), f'{i}') for i in range(4)])

    return read


@kind
def store_data(folder: Path) -> tuple:
    return folder / 'data.mdb', write_store(folder), True


@kind
def store_manifest(folder: Path) -> tuple:
    return folder / 'manifest.json', write_store(folder), False


def _archive(folder: Path, name: str, mode: str) -> tuple:
    path = folder / name
    with tarfile.open(path, mode) as archive:
        for i in range(3):
            data = tif(picture(2, np.uint16) + i)
            info = tarfile.TarInfo(f's1/{i:07d}/all.tif')
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path, lambda: digest([(str(p), content) for p, content in read_members([path], lambda p: True)])


@kind
def tar_gz(folder: Path) -> tuple:
    return *_archive(folder, 's1.tar.gz', 'w:gz'), True


@kind
def tar(folder: Path) -> tuple:
    return *_archive(folder, 's1.tar', 'w'), False


def weights() -> dict:
    """What a checkpoint holds."""
    generator = torch.Generator().manual_seed(0)
    return dict(state_dict={f'backbone.layer{i}.weight': torch.randn(16, 16, generator=generator) for i in range(4)}, meta=dict(epoch=3))


@kind
def pth(folder: Path) -> tuple:
    path = folder / 'epoch_3.pth'
    torch.save(weights(), path)
    return path, lambda: digest(load_file(path)), True


@kind
def pth_of_old_torch(folder: Path) -> tuple:
    """The format before torch 1.6, which has no checksums."""
    path = folder / 'epoch_3.pth'
    torch.save(weights(), path, _use_new_zipfile_serialization=False)
    return path, lambda: digest(load_file(path)), False


@kind
def safetensors(folder: Path) -> tuple:
    path = folder / 'weights.safetensors'
    save_file(weights()['state_dict'], path)
    return path, lambda: digest(load_file(path)), True


@kind
def zarr_archive(folder: Path) -> tuple:
    import zarr

    from decur.readers.zarr_archives import read_bands, read_entries
    path = folder / 'ssl4eos12.zarr.zip'
    store = zarr.storage.ZipStore(path, mode='w')
    group = zarr.create_group(store, zarr_format=2)
    values = np.stack([picture(2, np.int16, 24).transpose(2, 0, 1) + i for i in range(4)]).reshape(2, 2, 2, 24, 24)
    group.create_array('bands', shape=values.shape, chunks=(1, 1, 2, 24, 24), dtype=values.dtype)[:] = values
    for name, data in (('band', np.array(['vv', 'vh'])), ('sample', np.array(['0000200', '0000201']))):
        group.create_array(name, shape=data.shape, dtype=data.dtype)[:] = data
    store.close()
    return path, lambda: digest([read_entries(path)[0], [read_bands(path, i, t) for i in range(2) for t in range(2)]]), True
