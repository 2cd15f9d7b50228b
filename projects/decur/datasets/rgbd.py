"""SUN-RGBD and NYU-Depth v2, as prepared by our tool or as people have them already."""
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, check_choice
from decur.hha import check_intrinsics
from decur.readers.depth import NYU_INTRINSICS, read_intrinsics

from .finding import FilePlace, folder_names, same_suffixes, walk
from .layouts import Layout, train_command
from .paired import PairedRasterDataset, folder_parts

_SHARED = (
    'wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window', 'bookshelf', 'picture', 'counter', 'blinds',
    'desk', 'shelves', 'curtain', 'dresser', 'pillow', 'mirror', 'floor mat', 'clothes', 'ceiling', 'books', 'refrigerator',
    'television', 'paper', 'towel', 'shower curtain', 'box', 'whiteboard', 'person', 'night stand', 'toilet', 'sink', 'lamp',
    'bathtub', 'bag')
_PALETTE = [[119, 119, 119], [244, 243, 131], [137, 28, 157], [150, 255, 255], [54, 114, 113], [0, 0, 176], [255, 69, 0], [87, 112, 255],
            [0, 163, 33], [255, 150, 255], [255, 180, 10], [101, 70, 86], [38, 230, 0], [255, 120, 70], [117, 41, 121], [150, 255, 0],
            [132, 0, 255], [24, 209, 255], [191, 130, 35], [219, 200, 109], [154, 62, 86], [255, 190, 190], [255, 0, 255], [152, 163, 55],
            [192, 79, 212], [230, 230, 230], [53, 130, 64], [155, 249, 152], [87, 64, 34], [214, 209, 175], [170, 0, 59], [255, 0, 0],
            [193, 195, 234], [70, 72, 115], [255, 255, 0], [52, 57, 131], [12, 83, 45]]
SUNRGBD_CLASSES, SUNRGBD_PALETTE = _SHARED, _PALETTE
NYUV2_CLASSES = (*_SHARED, 'otherstructure', 'otherfurniture', 'otherprop')
NYUV2_PALETTE = [*_PALETTE, [0, 60, 112], [130, 160, 160], [90, 20, 20]]

#: SUN-RGBD's test images come first in the releases that number all of them from 1.
NUMBERED_TEST = range(1, 5051)
NUMBERED_TRAIN = range(5051, 10336)

_JPG_PNG = ('.jpg', '.png')
#: Where each layout keeps what: role -> files. ``{split}`` becomes train or test.
LAYOUTS = {
    'prepared': dict(
        rgb=dict(folder='rgb', suffix=_JPG_PNG), depth=dict(folder='depth', suffix='.png'), raw=dict(folder='depth_raw', suffix='.png'),
        hha=dict(folder='hha', suffix=_JPG_PNG), label=dict(folder='label', suffix='.png')),
    'cmx': dict(
        rgb=dict(folder='RGB', suffix=_JPG_PNG), depth=dict(folder='Depth', suffix='.png'), hha=dict(folder='HHA', suffix=_JPG_PNG),
        label=dict(folder='Label', suffix='.png')),
    'dformer': dict(
        rgb=dict(folder='RGB', suffix=_JPG_PNG), hha=dict(folder='HHA', suffix=_JPG_PNG),
        # 8 bits, scaled image by image: an image, not metres.
        depth=dict(folder='Depth', suffix='.png'), label=dict(folder='Label', suffix='.png')),
    'esanet': dict(
        rgb=dict(folder='{split}/rgb', suffix=_JPG_PNG), depth=dict(folder='{split}/depth', suffix='.png'),
        raw=dict(folder='{split}/depth_raw', suffix='.png'), hha=dict(folder='{split}/hha', suffix=_JPG_PNG),
        label=dict(folder='{split}/labels_40', suffix='.png')),
    'numbered': dict(
        rgb=dict(folder='image', suffix=_JPG_PNG), depth=dict(folder='depth', suffix='.png'), hha=dict(folder='hha', suffix=_JPG_PNG),
        label=dict(folder='label', suffix='.png')),
}


class RGBDDataset(PairedRasterDataset):
    """RGB-D data in any of the usual layouts; :class:`SUNRGBDDataset` and :class:`NYUv2Dataset` name the classes.

    Modalities are ``rgb``, ``depth`` (metres, with ``reader=dict(type='DepthReader')``) and ``hha``; each gets its files from the layout
    unless its entry says ``files`` itself. Label 0 is void and becomes the ignore index; palette PNGs are read as indices.

    ==========  ====================================================================================================================
    layout      files under ``data_root``
    ==========  ====================================================================================================================
    prepared    ``{rgb,depth,depth_raw,hha,label}/<stem>``, ``{train,test}.txt`` (what ``tools/prepare_dataset.py`` writes)
    cmx         ``{RGB,Depth,HHA,Label}/<stem>``, ``{train,test}.txt`` of stems (CMX, SA-Gate)
    dformer     ``{RGB,Depth,Label}/<stem>``, ``{train,test}.txt`` with lines ``RGB/<stem>.jpg [Label/<stem>.png]``
    esanet      ``{train,test}/{rgb,depth,depth_raw,labels_40}/<stem>.png``; the files present are the split
    numbered    ``{image,depth,hha,label}/**/<anything><number>``: 1 to 5050 test, 5051 to 10335 train (SUN-RGBD)
    ==========  ====================================================================================================================

    An ``hha`` entry with ``files=None`` is made while loading: put ``dict(type='DepthToHHA')`` after ``LoadModalities``. The dataset then
    hands over where the depth is and the camera of each image.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): The folder they are under.
        split (str): ``'train'`` or ``'test'``.
        layout (str): One of the above. Defaults to ``'prepared'``.
        files (dict, optional): Changes to the layout: role (``rgb``, ``depth``, ``raw``, ``hha``, ``label``) to
            ``dict(folder=..., suffix=...)``.
        with_label (bool): Whether the samples have labels. Defaults to True; False for pretraining.
        split_file (str, optional): The list of the split where it is not ``<split>.txt``. For ``esanet`` and ``numbered`` it restricts the
            files found (stems or numbers, one a line).
        intrinsics (Sequence[float] | str, optional): fx, fy, cx, cy of all images, or the path of a JSON file under ``data_root`` with
            ``{stem: [fx, fy, cx, cy]}``. Defaults to ``intrinsics.json`` where it exists, else to :attr:`INTRINSICS`.
        **kwargs: As :class:`PairedRasterDataset`.

    Raises:
        ConfigError: An unknown layout or split, an ``hha`` without files and without ``DepthToHHA``.
        DataError: A missing file, named, with what to do; intrinsics that are needed and absent.
    """

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """The layout ``prepared``, which is the same for all RGB-D data sets."""
        names = set(folder_names(root))
        if not {'rgb', 'depth'} <= names or not (root / 'intrinsics.json').is_file():
            return None
        roles = [place['folder'] for place in LAYOUTS['prepared'].values()]
        return Layout('rgbd', 'prepared RGB-D (colour, depth, HHA)', train_command('configs/decur/sunrgbd_rgb-hha_r50_decur.py'),
                      partial(folder_parts, root, [name for name in roles if name in names]))

    #: fx, fy, cx, cy of every image, where one camera took them all; else None.
    INTRINSICS = None

    def __init__(self,
                 modalities: Mapping,
                 data_root: str = '',
                 split: str = 'train',
                 layout: str = 'prepared',
                 files: Mapping | None = None,
                 with_label: bool = True,
                 split_file: str | None = None,
                 intrinsics: Sequence | str | None = None,
                 reduce_zero_label: bool = True,
                 pipeline: Sequence = (),
                 **kwargs):
        check_choice('layout', layout, LAYOUTS)
        check_choice('split (a list of another name is split_file=...)', split, ('train', 'test'))
        unknown = sorted(set(files or {}) - {'rgb', 'depth', 'raw', 'hha', 'label'})
        if unknown:
            raise ConfigError(f'files has unknown role(s) {unknown}; roles are rgb, depth, raw, hha and label.')
        self.layout, self.split_file, self._given_intrinsics = layout, split_file, intrinsics
        self.roles = {role: dict(place) for role, place in {**LAYOUTS[layout], **(files or {})}.items()}
        for place in self.roles.values():
            place['folder'] = place['folder'].format(split=split)
        entries, self.on_the_fly = {}, []
        for name, entry in modalities.items():
            if entry is None:
                continue
            if 'files' not in entry and name not in self.roles:
                raise ConfigError(f'modality {name!r} has no files and is none of {sorted(self.roles)}: add '
                                  'files=dict(folder=..., suffix=...) to its entry.')
            entries[name] = {'files': self.roles.get(name), **entry}
            if entries[name]['files'] is None:
                steps = [step for step in pipeline if isinstance(step, Mapping) and step.get('type') == 'DepthToHHA']
                if not any(step.get('hha', 'hha') == name for step in steps):
                    raise ConfigError(f"modality {name!r} has files=None: put dict(type='DepthToHHA', hha={name!r}) into the pipeline "
                                      'after LoadModalities, or leave files out to read HHA from disk.')
                self.on_the_fly.append(name)
        super().__init__(
            modalities=entries,
            data_root=data_root,
            split=split,
            label=self.roles['label'] if with_label else None,
            reduce_zero_label=reduce_zero_label,
            pipeline=pipeline,
            **kwargs)

    def load_data_list(self) -> list:
        """Find the files of every image, and its camera where HHA is made while loading."""
        try:
            samples = super().load_data_list()
        except DataError as error:
            if "modality 'hha' has no file" not in str(error) and "files of modality 'hha'" not in str(error):
                raise
            raise DataError(f"{error} HHA is made of depth by tools/make_hha.py, or while loading by files=None in the entry and "
                            "dict(type='DepthToHHA') in the pipeline.") from error
        if not self.on_the_fly:
            return samples
        if self.layout == 'dformer' and self.roles['depth'] == LAYOUTS['dformer']['depth']:
            raise DataError("the depth of layout 'dformer' has 8 bits and no unit, so HHA cannot be made of it. Use the data set's 16-bit "
                            "depth: files=dict(depth=dict(folder=..., suffix='.png')).")
        root = Path(self.data_root)
        cameras = self._intrinsics(root)
        depth = self._place(root, self.roles['depth'], 'depth')
        raw = self._place(root, self.roles['raw'], 'raw depth') if 'raw' in self.roles else None
        for sample in samples:
            stem = sample['sample_id']
            sample['sources'] = {name: sample['sources'].get(name) for name in self.modalities}
            sample['depth_source'] = depth.find(stem)
            if sample['depth_source'] is None:
                raise DataError(f'sample {stem!r} has no depth file {depth.describe(stem)}, of which HHA is to be made.')
            sample['raw_depth_source'] = raw and raw.find(stem)
            if isinstance(cameras, Mapping):
                if stem not in cameras:
                    raise DataError(f'sample {stem!r} has no entry in the intrinsics file. Add "{stem}": [fx, fy, cx, cy].')
                sample['intrinsics'] = cameras[stem]
            else:
                sample['intrinsics'] = cameras
        return samples

    def _intrinsics(self, root):
        given = self._given_intrinsics
        if given is None:
            if (root / 'intrinsics.json').is_file():
                given = 'intrinsics.json'
            elif self.INTRINSICS is not None:
                return self.INTRINSICS
            else:
                raise DataError(f'{root} has no intrinsics.json, and images of this data set come from several cameras: give '
                                'intrinsics=[fx, fy, cx, cy] or a JSON file {stem: [fx, fy, cx, cy]}.')
        return read_intrinsics(root / given) if isinstance(given, str) else check_intrinsics(given)

    def _entries_on_disk(self) -> dict:
        return {name: entry for name, entry in self.modalities.items() if name not in self.on_the_fly}

    def _list_file(self) -> str | None:
        return self.split_file or (None if self.layout in ('esanet', 'numbered') else f'{self.split}.txt')

    def _place(self, root: Path, files: Mapping | None, owner: str) -> FilePlace:
        return NumberedPlace(root, files, owner) if self.layout == 'numbered' else super()._place(root, files, owner)

    def _ids(self, root: Path, first: FilePlace | None) -> list:
        images = self._place(root, self.roles['rgb'], 'the images')
        if self.layout == 'numbered':
            wanted = NUMBERED_TEST if self.split == 'test' else NUMBERED_TRAIN
            if self._list_file():
                listed = super()._ids(root, first)
                wrong = [name for name in listed if not re.fullmatch('[0-9]+', name)]
                if wrong:
                    raise DataError(f'{root / self._list_file()} has {wrong[:3]}; a list of layout {self.layout!r} has numbers.')
                wanted = {int(number) for number in listed}
            return [number for number in images.ids() if int(number) in wanted]
        return super()._ids(root, images)

    def _listed(self, root: Path) -> list:
        """Stems; lists name them, or files with their folder, or image and label on a line."""
        folder = self.roles['rgb']['folder']
        ids = []
        for line in super()._listed(root):
            name = re.sub(r'(\.(?:jpe?g|png))\s+\S.*$', r'\1', line, flags=re.IGNORECASE)
            ids.append(re.sub(r'\.(jpe?g|png)$', '', name.removeprefix(f'{folder}/'), flags=re.IGNORECASE))
        return ids


class NumberedPlace(FilePlace):
    """Files that are identified by the last number in their names, in any sub-folder; ids are the numbers.

    Raises:
        DataError: If two files have one number.
    """

    def _numbers(self) -> dict:
        if not self._listed:
            self.check_folder()
            suffixes = {spelling for pattern in self.patterns for spelling in same_suffixes(Path(pattern).suffix)}
            for name in walk(self.folder):
                path = Path(name)
                number = re.search(r'(\d+)$', path.stem)
                if number and path.suffix.lower() in suffixes:
                    other = self._listed.setdefault(int(number[1]), name)
                    if other != name:
                        raise DataError(f'{self.folder / name} and {self.folder / other} have the same number; a numbered layout needs one '
                                        'file each.')
        return self._listed

    def find(self, sample_id: str) -> str | None:
        """The file with this number, or None."""
        name = self._numbers().get(int(sample_id))
        return None if name is None else str(self.folder / name)

    def describe(self, sample_id: str = '<id>') -> str:
        """The paths that are looked for, for errors."""
        return ' or '.join(f'{self.folder}/**/*{sample_id}{Path(pattern).suffix}' for pattern in self.patterns)

    def ids(self) -> list:
        """All numbers, in their order."""
        return [str(number) for number in sorted(self._numbers())]


@DATASETS.register_module()
class SUNRGBDDataset(RGBDDataset):
    """SUN-RGBD, 37 classes (S. Song et al., "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite", CVPR 2015): 5285 training and 5050
    test images of four cameras, so each image has its own intrinsics.
    """
    METAINFO = dict(classes=SUNRGBD_CLASSES, palette=SUNRGBD_PALETTE)


@DATASETS.register_module()
class NYUv2Dataset(RGBDDataset):
    """NYU-Depth v2, 40 classes (N. Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012; the classes
    of S. Gupta et al., CVPR 2013): 795 training and 654 test images of 480x640 pixels from one Kinect.
    """
    METAINFO = dict(classes=NYUV2_CLASSES, palette=NYUV2_PALETTE)
    INTRINSICS = NYU_INTRINSICS
