"""Segment images of several modalities with a trained model, in Python or from the command line."""
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import PixelData  # noqa: F401  mmseg's samples need it registered
from mmseg.structures import SegDataSample

from decur.binding import bind
from decur.datasets.finding import walk
from decur.datasets.georeference import GeoreferenceCheck
from decur.errors import ConfigError, DataError, some
from decur.hha import check_intrinsics, depth_to_hha
from decur.modalities import concat
from decur.models.preprocessing import MultimodalSegDataPreprocessor
from decur.progress import Progress
from decur.readers.depth import DepthReader, read_intrinsics
from decur.readers.pictures import IMAGE_SUFFIXES
from decur.transforms.loading import ModalityLoader
from decur.visualization import label_picture, modality_picture, save_label_map, sheet
from decur.visualization.images import save_picture
from decur.weights.metadata import unwrapped
from decur.writing import check_writable, sample_path

from .model import label_meta, load_model

_SUFFIXES = (*IMAGE_SUFFIXES, '.npy', '.tif', '.tiff', '.jp2', '.img', '.vrt')


class SegmentationInferencer:
    """Segment one sample, or folders of them.

    A sample is a dict of arrays or files by modality. An array is what the modality's reader gives: in the units of the files, before
    ``radiometry``. Where the model wants ``hha``, it may be ``depth`` (and ``raw_depth``) with intrinsics instead. Modalities that are left
    out are set to their mean, as in :func:`decur.evaluation.missing.test_modalities`, and so are missing pixels: those that a file
    says are missing, and those under the mask of a :class:`numpy.ma.MaskedArray`. Other values that are no numbers are refused.

    .. code-block:: python

        segment = SegmentationInferencer('configs/cmx/nyudv2_rgb-hha_mit-b2_finetune.py', 'cmx.pth')
        result = segment(dict(rgb='room.jpg', depth='room_depth.png'), intrinsics=(518.9, 519.5, 325.6, 253.7))
        result['prediction']    # (H, W) uint8, index into segment.classes

    Args:
        config (str | Config): Config of a segmentation model.
        checkpoint (str): Its checkpoint; every key must fit.
        device (str): Defaults to ``'cpu'``.
        depth_unit (float, optional): Values per metre of 16-bit depth files. Defaults to 1000 (millimetres), checked
            (:class:`~decur.readers.DepthReader`).
        options (dict, optional): Overrides of the config by dotted key, for example ``{'model.test_cfg.mode': 'slide'}``.
    """

    def __init__(self, config, checkpoint, device: str = 'cpu', depth_unit: float | None = None, options: Mapping | None = None):
        self.model, self.cfg = load_model(config, checkpoint, device, options)
        if not isinstance(self.model.data_preprocessor, MultimodalSegDataPreprocessor):
            raise ConfigError('the inferencer needs a segmentation model with a MultimodalSegDataPreprocessor.')
        self.modalities = self.model.data_preprocessor.modalities
        meta = label_meta(self.cfg)
        self.classes, self.palette = meta['classes'], meta['palette']
        heads = getattr(self.model, 'decode_head', None)
        for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
            count = getattr(head, 'num_classes', len(self.classes))
            if count != len(self.classes):
                raise ConfigError(f'{self.cfg.filename or "the config"}: its data have {len(self.classes)} classes, the model has {count}; '
                                  'names and colours would be wrong. Correct model.decode_head.num_classes or the classes of the data set.')
        self.dtype = np.uint8 if len(self.classes) <= 256 else np.uint16
        # Read as the test data are: their entries may say something else of a modality than the model's.
        dataset = unwrapped((bind(self.cfg).get('test_dataloader') or {}).get('dataset'))
        entries = dataset['modalities'] if dataset else {}
        self.check_georeference = GeoreferenceCheck((dataset or {}).get('georeference', 'check'))
        self.entries = {name: entries.get(name) or entry for name, entry in self.modalities.items()}
        self.loaders = {name: ModalityLoader(name, entry) for name, entry in self.entries.items()}
        self.depth_reader = DepthReader(unit=depth_unit)
        #: What a result depends on beside the weights: the model's config and the entries by which images are read.
        self.settings = self.cfg.model, self.modalities, self.entries

    def load(self, sample: Mapping, intrinsics=None) -> dict:
        """Arrays (H, W, C) by modality of a sample of arrays or files, as the data set's pipeline gives them to the model.

        An array has the units of the files; a masked array has missing pixels, which become the modality's mean
        (:class:`~decur.transforms.ModalityLoader`).

        Raises:
            DataError: An unknown name, a wrong shape, sizes that differ, files that do not show the same ground (unless the test data
                of the config have ``georeference='ignore'``), values that are no numbers, a depth that is not metres, missing intrinsics.
        """
        sample = {name: source for name, source in sample.items() if source is not None}
        paths = {name: str(source) for name, source in sample.items() if isinstance(source, str | Path)}
        self.check_georeference(Path(next(iter(paths.values()), '')).stem, paths)
        arrays = {}
        for name in self.modalities:
            if name in sample:
                arrays[name] = self._array(name, sample.pop(name))
        depth, raw = sample.pop('depth', None), sample.pop('raw_depth', None)
        if depth is not None:
            if 'hha' not in self.modalities or 'hha' in arrays:
                raise DataError('depth is taken instead of hha only; this sample has hha already, or the model has no such modality.')
            if intrinsics is None:
                raise DataError('HHA is made of depth and the camera: give intrinsics=(fx, fy, cx, cy).')
            depth = depth if isinstance(depth, np.ndarray) else self.depth_reader.metres(depth)
            raw = raw if raw is None or isinstance(raw, np.ndarray) else self.depth_reader.metres(raw)
            arrays['hha'] = depth_to_hha(depth, intrinsics, raw)
        if sample:
            raise DataError(f'unknown {sorted(sample)}: the model takes {list(self.modalities)}'
                            f'{" (hha may be depth and raw_depth)" if "hha" in self.modalities else ""}.')
        if not arrays:
            raise DataError(f'the sample is empty: give at least one of {list(self.modalities)}.')
        sizes = {name: array.shape[:2] for name, array in arrays.items()}
        if len(set(sizes.values())) > 1:
            raise DataError(f'the images differ in size: {sizes}. They must be of one size, pixel on pixel.')
        return arrays

    def _array(self, name: str, source) -> np.ndarray:
        if not isinstance(source, np.ndarray):
            return self.loaders[name](source)[0]
        array = source[..., None] if source.ndim == 2 else source
        if array.ndim != 3 or 0 in array.shape:
            raise DataError(f'modality {name!r} must be an image (H, W, {self.modalities[name]["channels"]}), got shape {source.shape}.')
        return self.loaders[name].finish(array)[0]

    @torch.no_grad()
    def __call__(self, sample: Mapping, intrinsics=None, scores: bool = False) -> dict:
        """Segment one sample.

        Args:
            sample (dict): Arrays or files by modality: ``rgb`` (H, W, 3) uint8, ``hha`` (H, W, 3) uint8 or ``depth`` (H, W) metres, ...
            intrinsics (Sequence[float], optional): fx, fy, cx, cy in pixels; needed with ``depth``.
            scores (bool): Return the class probabilities too.

        Returns:
            dict: ``prediction`` (H, W) uint8 (uint16 for more than 256 classes), index into :attr:`classes`; ``images``, the arrays by
            modality; with ``scores`` also ``scores`` (classes, H, W) float32 that sum to 1.
        """
        arrays = self.load(sample, intrinsics)
        output = self._forward([arrays])[0]
        result = dict(prediction=output.pred_sem_seg.data[0].cpu().numpy().astype(self.dtype), images=arrays)
        if scores:
            result['scores'] = _probabilities(output)
        return result

    @torch.no_grad()
    def probabilities(self, batch: Sequence[Mapping]) -> list:
        """Class probabilities of images that are already as the model takes them.

        Args:
            batch (Sequence[dict]): Arrays ``(H, W, C)`` by modality, with ``radiometry`` applied and nothing missing; all samples have the
                same modalities and size. Modalities that are left out are set to their mean.

        Returns:
            list[ndarray]: ``(classes, H, W)`` float32 that sum to 1, for each sample.
        """
        return [_probabilities(output) for output in self._forward(batch)]

    def _forward(self, batch: Sequence[Mapping]) -> list:
        """What mmseg predicts for samples of the same modalities."""
        size = next(iter(batch[0].values())).shape[:2]
        preprocessor, images = self.model.data_preprocessor, []
        for arrays in batch:
            parts = {name: np.asarray(arrays[name], np.float32) if name in arrays else np.zeros((*size, entry['channels']), np.float32)
                     for name, entry in self.modalities.items()}
            images.append(torch.from_numpy(np.ascontiguousarray(concat(parts, self.modalities, axis=-1).transpose(2, 0, 1))))
        samples = [SegDataSample(metainfo=dict(ori_shape=size, img_shape=size)) for _ in batch]
        before = preprocessor.absent
        preprocessor.hide([name for name in self.modalities if name not in batch[0]])
        try:
            return self.model.test_step(dict(inputs=images, data_samples=samples))
        finally:
            preprocessor.hide(before)

    def overlay(self, result: Mapping) -> np.ndarray:
        """The prediction over the first modality that is there, (H, W, 3) uint8."""
        name = next(iter(result['images']))
        picture = modality_picture(result['images'][name], name, self.modalities[name]).astype(np.float32)
        return np.rint((picture + label_picture(result['prediction'], self.palette)) / 2).astype(np.uint8)

    def save(self, result: Mapping, stem: str, out) -> None:
        """Write ``OUT/predictions/<stem>.png`` (palette PNG of class indices), ``OUT/overlays/<stem>.png`` and
        ``OUT/pictures/<stem>.png`` (inputs, prediction and overlay side by side), in sub-folders where the stem has them.

        Raises:
            WriteError: If a file cannot be written.
        """
        from PIL import Image
        out = Path(out)
        overlay = self.overlay(result)
        pictures = [modality_picture(image, name, self.modalities[name]) for name, image in result['images'].items()]
        pictures += [label_picture(result['prediction'], self.palette), overlay]
        seen = np.unique(result['prediction'])
        legend = {self.classes[i]: self.palette[i] for i in seen if i < len(self.classes)}
        save_picture(sheet([pictures], [*result['images'], 'prediction', 'overlay'], legend), sample_path(out / 'pictures', stem))
        save_picture(Image.fromarray(overlay), sample_path(out / 'overlays', stem))
        save_label_map(result['prediction'], self.palette, sample_path(out / 'predictions', stem))

    def run(self, sources: Mapping, out, intrinsics=None) -> list:
        """Segment files, or all of the files in folders, and write the results to ``out``, with a display of progress.

        Args:
            sources (dict): A file or a folder by name (modalities, ``depth``, ``raw_depth``); in folders, files of the same path without
                the suffix belong together (:func:`pair_files`).
            out (str | Path): As :meth:`save` writes.
            intrinsics (Sequence[float] | str, optional): fx, fy, cx, cy of all images, or a JSON file ``{stem: [fx, fy, cx, cy]}``, or a
                text file with a camera matrix.

        Returns:
            list[str]: The ids, as in data sets: ``site1/a`` for ``FOLDER/site1/a.png``.

        Raises:
            DataError: A missing file (named), or an image that cannot be taken.
        """
        pairs = pair_files(sources)
        cameras = read_intrinsics(intrinsics) if isinstance(intrinsics, str | Path) else intrinsics
        if not isinstance(cameras, Mapping):
            cameras = dict.fromkeys(pairs, None if cameras is None else check_intrinsics(cameras))
        lacking = [stem for stem in pairs if stem not in cameras]
        if lacking:
            raise DataError(f'{intrinsics} has no entry for {some(map(repr, lacking), 1)}.')
        check_writable(out)
        with Progress(len(pairs)) as progress:
            for done, (stem, sample) in enumerate(pairs.items()):
                try:
                    result = self(sample, cameras[stem])
                except DataError as error:
                    before = f' ({done} of {len(pairs)} are segmented, in {out})' if done else ''
                    raise DataError(f'{stem}: {error}{before}') from error
                self.save(result, stem, out)
                progress.update()
        return list(pairs)


def _probabilities(output) -> np.ndarray:
    """Class probabilities ``(classes, H, W)`` float32 of a sample of mmseg's."""
    logits = output.seg_logits.data.float()
    if len(logits) == 1:  # two classes by one number, to which mmseg has applied the sigmoid
        return torch.cat([1 - logits, logits]).cpu().numpy()
    return logits.softmax(0).cpu().numpy()


def pair_files(sources: Mapping) -> dict:
    """Files that belong together, ``{id: {name: path}}``, by the ids that a data set would give them.

    Args:
        sources (dict): A file, or a folder, by name; all of one kind. Sub-folders are searched (``site1/a`` is the id of
            ``FOLDER/site1/a.png``), hidden files and folders are not; names are compared as Unicode composes them (NFC).

    Raises:
        DataError: Something does not exist, is of the other kind, a folder lacks a stem that another has, or has two files of one stem.
    """
    if not sources:
        raise DataError('nothing to segment: give a file or a folder per modality.')
    paths = {name: Path(path) for name, path in sources.items()}
    for name, path in paths.items():
        if not path.exists():
            raise DataError(f'{name}: {path} does not exist.')
    folders = {name for name, path in paths.items() if path.is_dir()}
    if folders and folders != set(paths):
        raise DataError(f'{sorted(folders)} are folders and {sorted(set(paths) - folders)} files: give all of one kind.')
    if not folders:
        return {next(iter(paths.values())).stem: paths}
    found: dict = {}
    for name, folder in paths.items():
        for inner in walk(folder):
            path = folder / inner
            if path.suffix.lower() not in _SUFFIXES:
                continue
            stem = unicodedata.normalize('NFC', Path(inner).with_suffix('').as_posix())
            twin = found.setdefault(stem, {}).setdefault(name, path)
            if twin != path:
                raise DataError(f'{folder} has two files of the stem {path.stem!r}: {twin.name} and {path.name}. Keep one of them.')
    if not found:
        raise DataError(f'no images in {", ".join(str(p) for p in paths.values())}; suffixes are {", ".join(_SUFFIXES)}.')
    for stem, sample in found.items():
        missing = [name for name in paths if name not in sample]
        if missing:
            raise DataError(f'{paths[missing[0]]} has no file {stem!r}, which {next(iter(sample.values()))} goes with.')
    return dict(sorted(found.items()))


def parse_sources(arguments: Sequence[str]) -> dict:
    """``['rgb=a', 'depth=b']`` to a dict.

    Raises:
        ConfigError: An argument that is not of this form, or a name given twice.
    """
    sources = {}
    for argument in arguments:
        name, equals, path = argument.partition('=')
        if not (name and equals and path) or name in sources:
            raise ConfigError(f'expected NAME=PATH once per name, got {argument!r}, for example rgb=room.jpg depth=room.png.')
        sources[name] = path
    return sources
