"""SUN-RGBD as released: ``SUNRGBD.zip`` and ``SUNRGBDtoolbox.zip``, unpacked side by side.

Needed under the source folder: ``SUNRGBD/{kv1,kv2,realsense,xtion}/...``, ``SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat``,
``SUNRGBDtoolbox/Metadata/SUNRGBD2Dseg.mat`` (the 37 classes) and ``SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat``.
"""
import math
from pathlib import Path

from decur.datasets.finding import check_name
from decur.errors import DataError
from decur.hha import check_intrinsics
from decur.readers.depth import read_intrinsics, unrotate
from decur.readers.files import PillowReader

from . import engine
from .mat import field, read_array, read_mat, read_shape, reopen_hdf5
from .rgbd import RGBDRelease


def _locate(src, relative):
    """``src/relative``, or the same without the first folder of ``relative``, where ``src`` is that folder. A DataError if absent."""
    src = Path(src)
    for candidate in (src / relative, src / Path(*Path(relative).parts[1:])):
        if candidate.exists():
            return candidate
    raise DataError(f'{src / relative} does not exist. Unpack SUNRGBD.zip and SUNRGBDtoolbox.zip side by side into {src}.')


def _relative(path):
    """A path of the toolbox relative to the folder of the images."""
    return path.split('/SUNRGBD/', 1)[1].rstrip('/') if '/SUNRGBD/' in path else path.strip('/')


def _paths(path, name):
    found = read_mat(path, name)
    found = [found] if isinstance(found, str) else found  # MATLAB's list of one
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise DataError(f'{path}: {name!r} is no list of paths. Is it the original file, wholly downloaded?')
    return found


class SUNRGBDRelease(RGBDRelease):
    """SUN-RGBD: ``SUNRGBD.zip`` and ``SUNRGBDtoolbox.zip``, unpacked side by side in SRC."""

    command = dataset = 'sunrgbd'
    title = 'SUN-RGBD to colour, depth, HHA and labels'
    num_classes = 37
    expected = dict(train=5285, test=5050)

    @classmethod
    def lies_in(cls, folder):
        """The two folders of the release."""
        return any((folder / name).is_dir() for name in ('SUNRGBD', 'SUNRGBDtoolbox'))

    def samples(self):
        """Every image of the release, in the order of the toolbox."""
        src = self.src
        meta_file = _locate(src, 'SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat')
        meta = read_mat(meta_file, 'SUNRGBDMeta', ('rgbpath', 'rgbname', 'depthname', 'K'))
        meta = meta if isinstance(meta, list) else [meta]
        split_file = _locate(src, 'SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat')
        split = {_relative(path): part for part in ('train', 'test') for path in _paths(split_file, f'all{part}')}
        labels = _locate(src, 'SUNRGBDtoolbox/Metadata/SUNRGBD2Dseg.mat')
        count = math.prod(read_shape(labels, 'SUNRGBD2Dseg', 'seglabel') or (0, ))
        if count != len(meta):
            raise DataError(f'{labels} has {count} label maps, SUNRGBDMeta.mat {len(meta)} images: they must be of one release.')
        images = _locate(src, 'SUNRGBD')
        found, absent = [], []
        for index, entry in enumerate(meta):
            folder = _relative(str(entry['rgbpath'])).rsplit('/', 2)[0]
            names = folder, str(entry['rgbname']), str(entry['depthname'])
            for name in names:
                check_name(name, f'{meta_file}, image {index + 1}')
            if folder not in split:
                raise DataError(f'{folder} is in neither list of {split_file}.')
            place = images / folder
            rgb, depth = place / 'image' / str(entry['rgbname']), place / 'depth_bfx' / str(entry['depthname'])
            raw = place / 'depth' / str(entry['depthname'])
            for path in (rgb, depth):
                if not path.is_file():
                    absent.append(path)
            if absent:
                continue
            if (place / 'intrinsics.txt').is_file():
                camera = read_intrinsics(place / 'intrinsics.txt')
            else:
                camera = check_intrinsics(entry['K'])
            found.append(dict(
                stem=folder.replace('/', '_'), split=split[folder], intrinsics=camera, has_raw=raw.is_file(), rgb_suffix=rgb.suffix,
                rgb_path=str(rgb), depth_path=str(depth), raw_path=str(raw), labels=str(labels), index=index))
        if absent:
            raise DataError(f'{len(absent)} files of the release are missing, the first is {absent[0]}. Unpack SUNRGBD.zip again.')
        return found

    def read(self, sample):
        """One image of :meth:`samples`, decoded; label maps are read one by one."""
        image = PillowReader()
        path = sample['labels']
        file = reopen_hdf5(path)
        references = read_array(field(file, path, 'SUNRGBD2Dseg', 'seglabel'), path).ravel()
        try:
            label = read_array(file[references[sample['index']]], path).T
        except (TypeError, ValueError, RuntimeError, KeyError) as error:  # of h5py, for what is no reference or leads nowhere
            if isinstance(error, DataError):
                raise
            raise DataError(f'{path}: label map {sample["index"] + 1} cannot be read ({error}). Download it again.') from error
        if label.ndim != 2 or label.dtype.kind not in 'ui':
            raise DataError(f'{path}: label map {sample["index"] + 1} has shape {label.shape} and type {label.dtype}.')
        depth = {}
        for name, key in (('depth', 'depth_path'), ('depth_raw', 'raw_path')):
            if key == 'raw_path' and not sample['has_raw']:
                continue
            try:
                depth[name] = unrotate(image(sample[key])[..., 0])
            except DataError as error:
                raise DataError(f'{sample[key]}: {error}') from error
        return dict(rgb=PillowReader('RGB')(sample['rgb_path']), label=label, **depth)


def prepare(src: str | Path, out: str | Path, hha: bool = True, **kwargs) -> dict:
    """Write SUN-RGBD to ``out``; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(SUNRGBDRelease(src, hha), out, **kwargs)
