"""TorchGeo's data sets as ours: one with several modalities, or one for each modality, by a config entry."""
from collections.abc import Mapping, Sequence

import numpy as np
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, closest, first_line
from decur.readers import LazySamples, NamedArray
from decur.readers.torchgeo import as_array, channel_names, check_files, images_of

from .base import MultimodalDataset


@DATASETS.register_module()
class TorchGeoDataset(MultimodalDataset):
    """Any data set of TorchGeo (``pip install decur[torchgeo]``) whose samples hold rasters of several modalities, or several of them.

    A modality's entry says which part of a sample it is: ``files=dict(key='image_s1')``, by default ``'image'``. Of the channels there it
    takes those of its ``bands`` by name (``'B04'`` is ``'B4'``), in its own order; where the names are not known, those of
    ``files=dict(channels=(0, 1))``, or all. ``date=0`` takes one date of a series; without it, several dates are ``seasons``, of which
    :class:`~decur.transforms.DrawSeasons` draws.

    With one data set for each sensor (SSL4EO-S12, Copernicus-Bench) give a dict of them by name; an entry's ``files=dict(dataset=...)``
    says which (by default the one of the modality's name). Their samples are paired by index. Of a data set of scenes (TorchGeo's
    ``GeoDataset``) the samples are windows; several of them are cut where all lie, on the first one's grid.

    The values are what TorchGeo reads. The sample dict's ``label`` is the class (a number) or the classes (several); of ``mask`` a label
    map is made, as of label files.

    Args:
        modalities (dict[str, dict]): Entries.
        dataset (dict): A TorchGeo class by name and its arguments, ``dict(type='BigEarthNet', split='train', bands='all')``, or a dict of
            such by name. ``root`` is ``data_root``, where they do not give one.
        data_root (str): TorchGeo's ``root`` (or ``paths``).
        label (str, optional): The key of the labels, ``'label'`` (scenes) or ``'mask'`` (pixels). Defaults to none.
        label_dataset (str, optional): Of several data sets the one that has the labels. Defaults to the first.
        channels (dict[str, Sequence[str]], optional): Names of the channels by key, where TorchGeo does not say them.
        dates (int): For tensors whose channels are those of so many dates (``seasons=4`` of SSL4EO-S12). Defaults to 1.
        window (dict, optional): Of a ``GeoDataset``: ``dict(size=256, stride=256)`` in pixels of the first data set, and ``roi`` and
            ``toi``, as TorchGeo's ``GridGeoSampler``.
        indices (Sequence[int], optional): Use these samples of the data set. Defaults to all that it counts.
        **kwargs: As :class:`MultimodalDataset`; ``metainfo=dict(classes=...)`` names the classes of a mask.

    Raises:
        ConfigError: If TorchGeo is not installed, or has no such class, argument, key or band.
        DataError: If TorchGeo does not find the data, or the data sets hold different samples.
    """

    def __init__(self,
                 modalities: Mapping,
                 dataset: Mapping,
                 data_root: str = '',
                 label: str | None = None,
                 label_dataset: str | None = None,
                 channels: Mapping | None = None,
                 dates: int = 1,
                 window: Mapping | None = None,
                 indices: Sequence | None = None,
                 **kwargs):
        if isinstance(dates, bool) or not isinstance(dates, int) or dates < 1:
            raise ConfigError(f'dates must be a number of dates, at least 1, got {dates!r}.')
        self.parts_of = {'': dict(dataset)} if 'type' in dataset else {name: dict(part) for name, part in dataset.items()}
        self.label, self.label_dataset, self.channels = label, label_dataset, dict(channels or {})
        self.dates, self.window, self.indices = dates, window, indices
        super().__init__(modalities=modalities, data_root=data_root, **kwargs)

    def load_data_list(self) -> LazySamples:
        """Build TorchGeo's data sets and count their samples."""
        #: TorchGeo's data sets by name; of a single one the name is ''.
        self.parts = {name: build_torchgeo(part, self.data_root) for name, part in self.parts_of.items()}
        self.files = {name: check_files(name, entry) for name, entry in self.modalities.items()}
        for name, files in self.files.items():
            files.setdefault('dataset', '' if '' in self.parts else name)
            if files['dataset'] not in self.parts:
                raise ConfigError(f'modality {name!r} is in the TorchGeo data set {files["dataset"]!r}, and there are '
                                  f'{list(self.parts)}. Say which: files=dict(dataset=...).')
        first = next(iter(self.parts))
        self.label_dataset = first if self.label_dataset is None else self.label_dataset
        if self.label_dataset not in self.parts:
            raise ConfigError(f'label_dataset={self.label_dataset!r}, and there are {list(self.parts)}.')
        self.names = {name: {**channel_names(part), **self.channels} for name, part in self.parts.items()}
        self.windows = self._windows()
        count = len(self.windows) if self.windows is not None else self._count()
        rows = np.arange(count)
        if self.indices is not None:
            rows = np.asarray(self.indices)
            if rows.ndim != 1 or rows.dtype.kind not in 'iu' or len(rows) and not 0 <= rows.min() <= rows.max() < count:
                raise ConfigError(f'indices must be whole numbers from 0 to {count - 1}, got {self.indices!r:.80}.')
        return LazySamples(self._record, rows)

    def _record(self, row: int) -> dict:
        return dict(sample_id=f'{int(row):07d}', index=int(row), sources={})

    def _windows(self) -> list | None:
        """The windows of data sets of scenes; None for those that count their samples."""
        from torchgeo.datasets import GeoDataset
        parts = list(self.parts.values())
        scenes = [isinstance(part, GeoDataset) for part in parts]
        if not any(scenes):
            if self.window is not None:
                raise ConfigError('window is for data sets of scenes (GeoDataset); this one counts its samples: leave window out.')
            return None
        if not all(scenes) or not self.window or 'size' not in self.window:
            raise ConfigError('the TorchGeo data set is one of scenes (GeoDataset): say what a sample is, window=dict(size=256), and give '
                              'no other kind beside it.')
        from torchgeo.samplers import GridGeoSampler
        try:
            whole = parts[0]
            for part in parts[1:]:
                whole = whole & part
            return list(GridGeoSampler(whole, **self.window))
        except RuntimeError as error:
            raise DataError(f'the TorchGeo data sets {list(self.parts)} have no ground in common ({first_line(error)}).') from error
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigError(f'window={self.window}: {first_line(error)}.') from error

    def _count(self) -> int:
        """Number of samples; data sets of several sensors must hold the same ones."""
        counts = {name: len(part) for name, part in self.parts.items()}
        lists = {name: ids for name, part in self.parts.items() if (ids := sample_names(part)) is not None}
        if len(set(counts.values())) > 1 or len(lists) > 1 and len(set(map(tuple, lists.values()))) > 1:
            raise DataError(f'the TorchGeo data sets hold different samples ({", ".join(f"{name}: {n}" for name, n in counts.items())}): '
                            'they are paired by index. Use the same split and subset for all.')
        return next(iter(counts.values()))

    def open_sample(self, info: dict) -> dict:
        """Let TorchGeo read the sample, and give each modality its images and the sample its label.

        Raises:
            DataError: If TorchGeo cannot read it, or it has not what the entries say.
        """
        key = info['index'] if self.windows is None else self.windows[info['index']]
        samples, where = {}, {}
        for name, part in self.parts.items():
            where[name] = f'sample {info["index"]} of {type(part).__name__}'
            try:
                samples[name] = part[key]
            except Exception as error:  # of a library that reads files of all kinds
                raise DataError(f'{where[name]} cannot be read by TorchGeo ({first_line(error)}).') from error
        sources, seasons = {}, {}
        for name, entry in self.modalities.items():
            part = self.files[name]['dataset']
            images = images_of(samples[part], name, entry, self.names[part].get(self.files[name]['key']), self.dates, where[part])
            sources[name] = images[0]
            seasons[name] = images
        info.update(sources=sources)
        if any(len(images) > 1 for images in seasons.values()):
            info.update(seasons=seasons)
        if self.label:
            info.update(self._label(samples[self.label_dataset], where[self.label_dataset]))
        return info

    def _label(self, sample: Mapping, where: str) -> dict:
        """``gt_label`` or, of a map, ``seg_source``."""
        if self.label not in sample:
            raise DataError(f'{where} has no {self.label!r}; it has {sorted(sample)}. Correct label=... of the data set.')
        value = as_array(sample[self.label])
        if value.dtype.kind not in 'iufb':
            raise DataError(f'{where}: {self.label!r} is no number or tensor of numbers, but {sample[self.label]!r:.60}.')
        if value.ndim == 0:
            if not float(value).is_integer():
                raise DataError(f'{where}: {self.label!r} is {value.item()}, and a class is a whole number.')
            return dict(gt_label=int(value))
        if value.ndim == 1:
            if not np.isfinite(value).all():
                raise DataError(f'{where}: {self.label!r} has values that are not finite.')
            return dict(gt_label=value.astype(float).tolist())
        if value.ndim == 3 and len(value) == 1:
            value = value[0]
        if value.ndim != 2:
            raise DataError(f'{where}: {self.label!r} has shape {value.shape}, expected (H, W) or (1, H, W).')
        return dict(seg_source=NamedArray(value[..., None], f'{where}, {self.label!r}'))


def build_torchgeo(cfg: Mapping, root: str = ''):
    """A data set of TorchGeo.

    Args:
        cfg (dict): ``type``, a class of ``torchgeo.datasets``, and its arguments.
        root (str): Its ``root`` or ``paths``, where ``cfg`` gives none.

    Raises:
        ConfigError: If TorchGeo is not installed, there is no such class, or it refuses an argument.
        DataError: If it does not find its data.
    """
    try:
        from torchgeo import datasets
    except ImportError as error:
        absent = (error.name or '').split('.')[0]
        cure = f'which cannot be imported without {absent}: pip install {absent}' if absent not in ('', 'torchgeo') else (
            'pip install decur[torchgeo]')
        raise ConfigError(f'a TorchGeoDataset needs TorchGeo, {cure} ({first_line(error)}).') from error
    cfg = dict(cfg)
    name = cfg.pop('type', None)
    kinds = (datasets.GeoDataset, datasets.NonGeoDataset)
    kind = getattr(datasets, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, kinds)):
        known = [text for text in datasets.__all__ if isinstance(found := getattr(datasets, text), type) and issubclass(found, kinds)]
        raise ConfigError(f'TorchGeo has no data set {name!r}{closest(name, known)}')
    if root and not {'root', 'paths'} & set(cfg):
        import inspect
        cfg['root' if 'root' in inspect.signature(kind).parameters else 'paths'] = root
    try:
        return kind(**cfg)
    except datasets.DatasetNotFoundError as error:
        raise DataError(f'{name}: {" ".join(str(error).split())} Set data_root, or root in the entry of the data set.') from error
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise ConfigError(f'TorchGeo does not build {name} with {cfg}: {first_line(error)}.') from error


def sample_names(data) -> list | None:
    """The names of a TorchGeo data set's samples, where it keeps a list of such."""
    for attribute in ('ids', 'scenes', 'files'):
        names = getattr(data, attribute, None)
        if isinstance(names, list | tuple) and len(names) == len(data) and all(isinstance(name, str) for name in names):
            return list(names)
    return None
