"""Generated rooms in the layouts of public RGB-D data sets, including the structure of their MATLAB files.

With them, everything that reads or prepares a public data set can be tested without downloading it.
"""
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from decur.dataset_record import start_record
from decur.datasets.rgbd import LAYOUTS as PLACES
from decur.errors import ConfigError, check_choice
from decur.hha import depth_to_hha
from decur.writing import write_bytes, write_json, write_png

from .rooms import TEST_OFFSET, generate_room

#: Layouts that :func:`write_layout` knows, besides the prepared one of :func:`decur_worlds.rooms_dataset.write_rooms`.
LAYOUTS = ('sunrgbd', 'nyudv2', 'cmx', 'dformer', 'esanet', 'numbered')
#: What each layout of folders has.
_ROLES = dict(cmx=('rgb', 'hha', 'label'), dformer=('rgb', 'depth', 'label'), esanet=('rgb', 'depth', 'raw', 'label'),
              numbered=('rgb', 'depth', 'hha', 'label'))
_HEADER = b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(124) + b'\x00\x02IM'
_CAMERAS = ('kv1/NYUdata', 'kv2/kinect2data', 'realsense/lg', 'xtion/sun3ddata')


def _fill(depth):
    """Holes filled with the nearest depth to the left (or right), as a stand-in for a data set's inpainting."""
    filled = depth.copy()
    for order in (1, -1):
        view = filled[:, ::order]
        index = np.where(view > 0, np.arange(view.shape[1]), 0)
        np.maximum.accumulate(index, axis=1, out=index)
        view[:] = np.take_along_axis(view, index, axis=1)
    return np.where(filled > 0, filled, np.float32(depth.max() or 1))


def _millimetres(depth):
    return np.rint(depth * 1000).astype(np.uint16)


def _rotate(depth):
    """Metres to the bit-rotated files of SUN-RGBD."""
    millimetres = _millimetres(depth)
    return (millimetres << np.uint16(3)) | (millimetres >> np.uint16(13))


@contextmanager
def _hdf5(path):
    """A new MATLAB file of version 7.3: HDF5 after a header, which counts once the rest is written."""
    import h5py
    with h5py.File(path, 'w', userblock_size=512) as file:
        yield file
    with open(path, 'r+b') as file:
        file.write(_HEADER)


def _object_array(values):
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def _write_sunrgbd(out, rooms):
    """``SUNRGBD`` and ``SUNRGBDtoolbox`` as unpacked from the release."""
    import scipy.io
    prefix = '/n/fs/sun3d/data/SUNRGBD'
    meta, lists = [], {'train': [], 'test': []}
    toolbox = out / 'SUNRGBDtoolbox'
    for folder in ('Metadata', 'traintestSUNRGBD'):
        (toolbox / folder).mkdir(parents=True)
    labels = toolbox / 'Metadata' / 'SUNRGBD2Dseg.mat'
    with _hdf5(labels) as file:
        import h5py
        references = []
        for i, (split, room) in enumerate(rooms):
            folder = f'{_CAMERAS[i % 4]}/{i:06d}_scene'
            place = out / 'SUNRGBD' / folder
            for name in ('image', 'depth', 'depth_bfx', 'extrinsics'):
                (place / name).mkdir(parents=True)
            name = f'{i:07d}'
            write_png(place / 'image' / f'{name}.png', room['rgb'])
            write_png(place / 'depth' / f'{name}.png', _rotate(room['depth']))
            write_png(place / 'depth_bfx' / f'{name}.png', _rotate(_fill(room['depth'])))
            fx, fy, cx, cy = room['intrinsics']
            write_bytes(place / 'intrinsics.txt', f'{fx:.6f} 0 {cx:.6f} \n0 {fy:.6f} {cy:.6f} \n0 0 1'.encode())
            write_bytes(place / 'extrinsics' / '20150101000000.txt', b'1 0 0 0\n0 1 0 0\n0 0 1 0\n')
            meta.append(dict(sequenceName=f'SUNRGBD/{folder}', rgbpath=f'{prefix}/{folder}/image/{name}.png', rgbname=f'{name}.png',
                             depthpath=f'{prefix}/{folder}/depth_bfx/{name}.png', depthname=f'{name}.png',
                             K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])))
            lists[split].append(f'{prefix}/{folder}')
            label = file.create_dataset(f'#refs#/{i}', data=room['label'].T)
            label.attrs['MATLAB_class'] = np.bytes_('uint8')
            references.append([label.ref])
        file.create_group('SUNRGBD2Dseg').create_dataset('seglabel', data=np.array(references, dtype=h5py.ref_dtype))
    fields = [(key, object) for key in meta[0]]
    array = np.empty((1, len(meta)), fields)
    for i, entry in enumerate(meta):
        array[0, i] = tuple(entry.values())
    scipy.io.savemat(toolbox / 'Metadata' / 'SUNRGBDMeta.mat', {'SUNRGBDMeta': array})
    scipy.io.savemat(toolbox / 'traintestSUNRGBD' / 'allsplit.mat', {f'all{split}': _object_array(paths) for split, paths in lists.items()})


def _write_nyudv2(out, rooms):
    """``nyu_depth_v2_labeled.mat`` with ``splits.mat`` and ``classMapping40.mat``."""
    import scipy.io
    path = out / 'nyu_depth_v2_labeled.mat'
    # Fine labels 1..894: every class of ours has several, and void 0.
    to_40 = np.arange(894) % 40 + 1
    fine = np.concatenate([[0], np.arange(7) + 1 + 40 * (np.arange(7) % 3)]).astype(np.uint16)
    with _hdf5(path) as file:
        file['images'] = np.stack([room['rgb'].transpose(2, 1, 0) for _, room in rooms])
        file['depths'] = np.stack([_fill(room['depth']).T for _, room in rooms]).astype(np.float32)
        file['rawDepths'] = np.stack([room['depth'].T for _, room in rooms])
        file['labels'] = np.stack([fine[room['label']].T for _, room in rooms])
    numbers = {part: [[i + 1] for i, (split, _) in enumerate(rooms) if split == part] for part in ('train', 'test')}
    scipy.io.savemat(out / 'splits.mat', {f'{part}Ndxs': np.array(value, np.uint16).reshape(-1, 1) for part, value in numbers.items()})
    scipy.io.savemat(out / 'classMapping40.mat', {'mapClass': to_40[None].astype(np.float64)})


def _write_folders(out, rooms, layout):
    """The layouts of PNG folders."""
    lists, cameras, number = {'train': [], 'test': []}, {}, dict(train=5050, test=0)
    for i, (split, room) in enumerate(rooms):
        filled = _fill(room['depth'])
        number[split] += 1
        stem = {'esanet': f'{i:04d}', 'numbered': f'{split}/img-{number[split]:06d}'}.get(layout, str(i))
        images = dict(rgb=room['rgb'], depth=_millimetres(filled), raw=_millimetres(room['depth']), label=room['label'])
        if layout == 'dformer':
            near, far = filled.min(), filled.max()
            images['depth'] = np.rint(255 * (filled - near) / max(far - near, 1e-6)).astype(np.uint8)
        if 'hha' in _ROLES[layout]:
            images['hha'] = depth_to_hha(filled.astype(np.float64), room['intrinsics'], room['depth'])
        for role in _ROLES[layout]:
            path = out / PLACES[layout][role]['folder'].format(split=split) / f'{stem}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, images[role])
        lists[split].append(f'RGB/{stem}.png Label/{stem}.png' if layout == 'dformer' else stem)
        cameras[str(number[split]) if layout == 'numbered' else stem] = list(room['intrinsics'])
    if layout in ('cmx', 'dformer'):
        for split, lines in lists.items():
            write_bytes(out / f'{split}.txt', ''.join(f'{line}\n' for line in lines).encode())
    write_json(out / 'intrinsics.json', cameras)


def write_layout(layout, out, num_train, num_test, size=(128, 128), seed=0):
    """Write generated rooms in the layout of a public data set.

    Args:
        layout (str): ``sunrgbd`` (the release with its toolbox), ``nyudv2`` (the MATLAB files), or a layout of
            :class:`decur.datasets.RGBDDataset`: ``cmx``, ``dformer``, ``esanet``, ``numbered``.
        out (str | Path): A new or an empty folder.
        num_train, num_test, size, seed: As :func:`decur_worlds.rooms_dataset.write_rooms`; scenes are the same in every layout.

    Raises:
        ConfigError: An unknown layout, or a folder that is not empty.
    """
    check_choice('layout', layout, LAYOUTS)
    out = Path(out)
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f'{out} is not empty; choose an empty or a new folder')
    start_record(out, dict(world='rooms', layout=layout, seed=int(seed), size=[int(s) for s in size]))
    rooms = [('train', generate_room(seed, i, size)) for i in range(num_train)]
    rooms += [('test', generate_room(seed, TEST_OFFSET + i, size)) for i in range(num_test)]
    if layout == 'sunrgbd':
        _write_sunrgbd(out, rooms)
    elif layout == 'nyudv2':
        _write_nyudv2(out, rooms)
    else:
        _write_folders(out, rooms, layout)
