"""OMBRIA as released to a folder of stacks: floods seen by Sentinel-1 and Sentinel-2, before and after.

Drakonakis et al., "OmbriaNet", IEEE JSTARS 2022; the data are the repository geodrak/OMBRIA on GitHub. ``OUT/s1/<id>.tif`` has the bands
(before, after), ``OUT/s2/<id>.tif`` (before_1, before_2, before_3, after_1, after_2, after_3), both uint8; ``OUT/label/<id>.png`` is 0
(dry) or 1 (flood). Beside them are lists of ids (:func:`~decur.prepare.ombria_scenes.splits`).
"""
import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from decur.errors import DataError
from decur.readers.files import PillowReader
from decur.writing import encode_png

from . import engine
from .folder_release import Content, FolderRelease
from .ombria_scenes import splits
from .release import Unit

#: Bands of the stacks.
BANDS = dict(s1=('before', 'after'), s2=tuple(f'{date}_{i}' for date in ('before', 'after') for i in (1, 2, 3)))
#: Samples, and SHA-256 of the content of all their files in order, of the release that the splits were made for (commit 38a4903).
EXPECTED = 844
DIGEST = '0883f6b5470dd01641bddf67e2b7dfe989fe7f34e24b77116b0f204a178924f8'
_EVENTS = ('albania', 'france', 'guyana', 'timor')
_DATES = ('before', 'after')
_SIZE = 256


class OmbriaRelease(FolderRelease):
    """OMBRIA: a clone of github.com/geodrak/OMBRIA, with ``OmbriaS1``, ``OmbriaS2`` and ``2021``.

    Args:
        src (str | Path): The clone.
        any_version (bool): Take files that are not those of the version that the splits were made for.
    """

    command = dataset = 'ombria'
    title = 'OMBRIA (floods, Sentinel-1 and -2) to stacks of before and after'
    contents = {**{sensor: Content(len(bands), 'uint8', suffixes=('.tif', ), size=(_SIZE, _SIZE)) for sensor, bands in BANDS.items()},
                'label': Content(1, 'uint8', 1, size=(_SIZE, _SIZE))}
    expected = dict(scene_train=469, scene_test=225, event2021=150)

    def __init__(self, src: str | Path, any_version: bool = False):
        super().__init__(src)
        self.any_version = any_version

    @classmethod
    def lies_in(cls, folder):
        """Its two folders."""
        return all((folder / name / 'train' / 'BEFORE').is_dir() for name in ('OmbriaS1', 'OmbriaS2'))

    def units(self, samples):
        """Every chip: its files of both sensors and dates and both masks.

        Raises:
            DataError: If folders or files are missing, or the files are not those of the expected version.
        """
        found = [*self._chips(), *self._events()]
        missing = [path for _, files in found for path in files.values() if not path.is_file()]
        if missing:
            raise DataError(f'{len(missing)} files of {self.src} are missing, the first is {missing[0]}. Clone the repository again, with '
                            'all its files.')
        pointers = [path for _, files in found for path in files.values() if _is_pointer(path)]
        if pointers:
            raise DataError(f'{len(pointers)} files of {self.src} are pointers of Git LFS instead of pictures, the first is {pointers[0]}. '
                            'Fetch their content: git lfs pull.')
        if not self.any_version:
            digest = content_digest(path for _, files in found for path in files.values())
            if digest != DIGEST or len(found) != EXPECTED:
                raise DataError(f'{self.src} is not the version of OMBRIA that the splits were made for (commit 38a4903, {EXPECTED} '
                                f'chips): it has {len(found)} chips of other content ({digest[:12]}). Check out that commit, or give '
                                '--any-version.')
        return [Unit(sample, sample, dict(paths=files)) for sample, files in found]

    def _chips(self) -> list:
        out = []
        for part in ('train', 'test'):
            for number in self._numbers({f'OmbriaS{s}/{part}/BEFORE': rf'S{s}_before_(\d{{4}})\.png' for s in (1, 2)}):
                files = {f's{s}_{date}': self.src / f'OmbriaS{s}' / part / date.upper() / f'S{s}_{date}_{number}.png'
                         for s in (1, 2) for date in (*_DATES, 'mask')}
                out.append((f'{part}_{number}', files))
        return out

    def _events(self) -> list:
        out = []
        for event in _EVENTS:
            place = self.src / '2021' / event.upper()
            for number in self._numbers({f'2021/{event.upper()}/Sentinel{s}/BEFORE': r'imbefore_(\d+)\.png' for s in (1, 2)}):
                files = {f's{s}_{date}': place / f'Sentinel{s}' / date.upper() / f'{"gt" if date == "mask" else f"im{date}"}_{number}.png'
                         for s in (1, 2) for date in (*_DATES, 'mask')}
                out.append((f'{event}_{int(number):04d}', files))
        return out

    def _numbers(self, patterns: Mapping) -> list:
        """Numbers of the chips that either sensor has, as they are written, in order. ``patterns``: folder to the form of its names."""
        matches = {re.fullmatch(pattern, path.name) for folder, pattern in patterns.items() for path in self._folder(folder).iterdir()}
        return sorted({match[1] for match in matches if match}, key=int)

    def _folder(self, name: str) -> Path:
        folder = self.src / name
        if not folder.is_dir():
            raise DataError(f'{folder} is not a folder. Give a whole clone of github.com/geodrak/OMBRIA.')
        return folder

    def encode(self, key: str, files: Mapping) -> list:
        """The two stacks and the label.

        Raises:
            DataError: If an image has another size, type or number of channels, or the masks of the two sensors differ.
        """
        files = files['paths']
        images = {name: _read(path, 3 if name.startswith('s2') and not name.endswith('mask') else 1) for name, path in files.items()}
        if not np.array_equal(images['s1_mask'], images['s2_mask']):
            raise DataError(f'{key}: the masks of Sentinel-1 and Sentinel-2 differ ({files["s1_mask"]}, {files["s2_mask"]}).')
        values = np.unique(images['s1_mask'])
        if not np.isin(values, (0, 255)).all():
            raise DataError(f'{files["s1_mask"]}: a mask has 0 and 255, this one {values[:5].tolist()}.')
        stacks = [encode_stack(np.concatenate([images[f'{sensor}_{date}'] for date in _DATES], axis=2), BANDS[sensor]) for sensor in BANDS]
        return list(zip(self.file_names(key), [*stacks, encode_png((images['s1_mask'][..., 0] > 0).astype(np.uint8), key)]))

    def lists(self, units):
        """Scenes, other floods and labelled subsets."""
        return splits([unit.key for unit in units])


def _is_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in place of one that it did not fetch."""
    return path.stat().st_size < 1024 and path.read_bytes().startswith(b'version https://git-lfs')


def content_digest(paths) -> str:
    """SHA-256 of the content of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def encode_stack(image: np.ndarray, bands) -> bytes:
    """``(H, W, C)`` uint8 as a GeoTIFF with named bands; without a georeference, since the release has none."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.MemoryFile() as memory:
            with memory.open(driver='GTiff', height=image.shape[0], width=image.shape[1], count=image.shape[2], dtype='uint8',
                             compress='deflate', predictor=2, photometric='minisblack') as file:
                file.write(image.transpose(2, 0, 1))
                file.descriptions = bands
            return memory.read()


def _read(data, channels: int) -> np.ndarray:
    image = PillowReader()(data)
    if image.shape != (_SIZE, _SIZE, channels) or image.dtype != np.uint8:
        raise DataError(f'{data} is {image.shape} of {image.dtype}, expected {(_SIZE, _SIZE, channels)} of uint8.')
    return image


def prepare(src: str | Path, out: str | Path, any_version: bool = False, **kwargs) -> dict:
    """Write OMBRIA to ``out``; see :func:`decur.prepare.engine.prepare`."""
    return engine.prepare(OmbriaRelease(src, any_version), out, **kwargs)
