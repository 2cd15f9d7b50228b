"""What every multimodal dataset shares: named modalities, a reproducible draw per sample, errors that name the sample."""
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from decur.errors import ConfigError, DataError, check_choice, some
from decur.modalities import check_modalities
from decur.readers.table import LazySamples

from .georeference import GeoreferenceCheck
from .labels import LabelTable
from .layouts import Layout

#: Samples whose georeference is compared when a data set is made.
LOOKED_AT = 100
#: A list of fewer samples is not serialised for the workers: it is small, and the garbage collection before takes longer.
SHORT = 20000
#: What to do with a sample that lacks a modality: stop, leave it out (counted and noted), or keep it with the modality absent.
MISSING = ('error', 'skip', 'keep')


class MultimodalDataset(BaseDataset):
    """Samples with a source per named modality.

    A subclass implements ``load_data_list()`` and returns for each sample ``dict(sample_id=str, sources={name: source or None})`` and,
    where there are labels, ``seg_source`` or ``gt_label``. The pipeline starts with :class:`~decur.transforms.LoadModalities`.

    An index may be ``epoch * len(dataset) + i``, as :class:`~decur.engine.EpochSampler` draws it. With a seed (the sampler hands the run's
    over), NumPy's and Python's global generators are seeded with (seed, epoch, i) before the pipeline runs, so a sample depends on nothing
    else: not on the number of workers, nor on whether the run was resumed.

    Args:
        modalities (dict[str, dict]): Modality entries.
        data_root (str): The folder that all paths are relative to.
        metainfo (dict, optional): ``classes`` and ``palette`` of the labels. With fewer or reordered ``classes`` than the dataset's own,
            labels are mapped by name and what is left out becomes the ignore index. Classes without a palette get colours.
        class_groups (dict[str, Sequence[str]], optional): Merge classes: name of the new class to names of those that it is made of; a
            class in no group becomes the ignore index. A group's colour is its first member's.
        num_samples (int, optional): Keep this many samples, drawn without replacement with ``subset_seed``.
        fraction (float, optional): The same as a share of the dataset, in (0, 1].
        subset_seed (int): Seed of that draw. Defaults to 0.
        label_values (dict[int, str | None], optional): Value in the label files to class name, None for "no label", where they do not
            count up: ``{0: 'land', 255: 'flood'}``. A value that is not in it is an error.
        reduce_zero_label (bool): 0 in a label file means "no label"; the classes start at 1. Defaults to False.
        ignore_index (int): The label that no loss and no metric counts, -32768 to 65535 and none of the classes. Defaults to 255.
        pipeline (Sequence[dict]): Transforms.
        georeference (str): ``'check'``: rasters of a sample that say where they lie must show the same ground, to half a pixel (CRS,
            extent, orientation; :mod:`decur.datasets.georeference`). Of the files that the data set lists, up to 100 samples are looked
            at when it is made, the others when they are read. ``'warn'``: differences are logged. ``'ignore'``: not compared. Defaults to
            ``'check'``.
        in_memory (bool): Decode every file once and keep it (:class:`~decur.readers.InMemoryReader`), in every worker: for a data set that
            fits into memory, with few workers. Defaults to False.
        label_options (dict, optional): What a subclass hands to its :meth:`own_labels`.
        **kwargs: As in MMEngine's ``BaseDataset``.
    """

    def __init__(self,
                 modalities: Mapping,
                 data_root: str = '',
                 metainfo: Mapping | None = None,
                 class_groups: Mapping | None = None,
                 label_values: Mapping | None = None,
                 num_samples: int | None = None,
                 fraction: float | None = None,
                 subset_seed: int = 0,
                 reduce_zero_label: bool = False,
                 ignore_index: int = 255,
                 pipeline: Sequence = (),
                 georeference: str = 'check',
                 in_memory: bool = False,
                 label_options: Mapping | None = None,
                 **kwargs):
        self.modalities = check_modalities(modalities)
        if num_samples is not None and fraction is not None:
            raise ConfigError('give num_samples or fraction, not both.')
        if fraction is not None and not 0 < fraction <= 1:
            raise ConfigError(f'fraction must be in (0, 1], got {fraction}.')
        self.num_samples, self.fraction, self.subset_seed = num_samples, fraction, subset_seed
        self.seed = None
        self.in_memory = in_memory
        self.check_georeference = GeoreferenceCheck(georeference)
        #: What each value of the label files means.
        self.label_table = self.label_table_of(
            metainfo, class_groups, label_values, reduce_zero_label, ignore_index, **(label_options or {}))
        metainfo = dict(metainfo or {})
        if self.label_table.classes:
            metainfo.update(classes=self.label_table.classes, palette=self.label_table.palette)
        super().__init__(metainfo=metainfo, data_root=data_root, pipeline=list(pipeline), **kwargs)
        self.bind_transforms(self.pipeline.transforms)

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """The layout in which this data set lies in a folder (or store), or None if it is not there. Only names are looked at."""
        return None

    def existing_root(self) -> Path:
        """``data_root``.

        Raises:
            DataError: If it is no folder.
        """
        root = Path(self.data_root)
        if not root.is_dir():
            raise DataError(f'data_root {str(root)!r} is not a folder. Set it in the config, or with --cfg-options '
                            'train_dataloader.dataset.data_root=...')
        return root

    def chosen_files(self, key: str, known: Sequence) -> dict:
        """What the entries say under ``key`` of their ``files``, by modality.

        Raises:
            ConfigError: If it is none of ``known``.
        """
        return {name: check_choice(f'modality {name!r}: {key} of files=dict({key}=...)', (entry.get('files') or {}).get(key), known)
                for name, entry in self.modalities.items()}

    def complete(self, samples: np.ndarray, present: Mapping, text: str, **more: np.ndarray) -> np.ndarray:
        """Which samples to use, by the option ``missing``. Those that are left out are logged, and noted in ``skipped``.

        Args:
            samples (ndarray): ``(N,)`` bytes, their names.
            present (dict[str, ndarray]): ``(N,)`` bool by what a sample should have.
            text (str): Of the error, with ``{sample}``, ``{lacking}`` and the names in ``more``.
            **more (ndarray): ``(N,)`` each, what else the error says of a sample.

        Returns:
            ndarray: ``(N,)`` bool.

        Raises:
            DataError: With ``missing='error'``, if a sample is not complete.
        """
        use = (np.any if self.missing == 'keep' else np.all)(list(present.values()), axis=0)
        for i in np.flatnonzero(~use):
            sample, lacking = samples[i].decode(), ', '.join(name for name, has in present.items() if not has[i])
            if self.missing == 'error':
                words = text.format(sample=sample, lacking=lacking, **{name: values[i] for name, values in more.items()})
                raise DataError(f'{words} under {str(self.data_root)!r}. Complete the data, or set missing="skip" (left out) or "keep" '
                                '(used without it).')
            self.skipped[sample] = f'no {lacking}'
        if self.skipped:
            listed = some((f'{sample} ({reason})' for sample, reason in self.skipped.items()), 5)
            print_log(f'{type(self).__name__}: left out {len(self.skipped)} of {len(samples)} samples: {listed}', logger='current')
        return use

    def bind_transforms(self, transforms: Sequence) -> None:
        """Tell the transforms that ask for it (``bind(modalities, dataset)``) about this dataset; wrappers are searched too."""
        for transform in transforms:
            if hasattr(transform, 'bind'):
                transform.bind(self.modalities, self)
            self._check_padding(transform)
            inner = getattr(transform, 'transforms', None) or getattr(transform, 'subroutines', None)  # RandomChoice, TestTimeAug
            if isinstance(inner, list | tuple):
                for part in inner:
                    self.bind_transforms(part if isinstance(part, list | tuple) else getattr(part, 'transforms', None) or [part])

    def _check_padding(self, transform) -> None:
        """Refuse a transform of mmseg's or mmcv's that pads labels with another value than the ignore index."""
        given = getattr(transform, 'seg_pad_val', None)
        if given is None and isinstance(getattr(transform, 'pad_val', None), Mapping):
            given = transform.pad_val.get('seg')
        if self.label_table.classes and given is not None and given != self.label_table.ignore_index:
            raise ConfigError(f'{type(transform).__name__} pads labels with {given}, the ignore index is {self.label_table.ignore_index}: '
                              'padding would be learnt or counted. Set its seg_pad_val (or pad_val=dict(seg=...)) to the ignore index.')

    @classmethod
    def own_labels(cls, **options) -> tuple:
        """Names and colours (or None) of the classes that the label files have by themselves; ``options`` are the data set's arguments."""
        return cls.METAINFO.get('classes', ()), cls.METAINFO.get('palette')

    @classmethod
    def label_table_of(cls, metainfo: Mapping | None = None, class_groups: Mapping | None = None, label_values: Mapping | None = None,
                       reduce_zero_label: bool = False, ignore_index: int = 255, **options) -> LabelTable:
        """The label table of a data set with these arguments; its files are not needed.

        Raises:
            ConfigError: As :class:`~decur.datasets.labels.LabelTable`.
        """
        metainfo = metainfo or {}
        return LabelTable(*cls.own_labels(**options), classes=metainfo.get('classes'), palette=metainfo.get('palette'), groups=class_groups,
                          values=label_values, reduce_zero_label=reduce_zero_label, ignore_index=ignore_index)

    @property
    def num_classes(self) -> int | None:
        """Number of classes, or None for a dataset without labels."""
        classes = self.metainfo.get('classes')
        return len(classes) if classes else None

    def filter_data(self) -> list:
        """Draw the subset, without replacement; the chosen samples keep their order."""
        data = self.data_list
        if not data:
            raise DataError(f'{type(self).__name__} found no samples under {self.data_root!r}. Check data_root, the folders and '
                            'suffixes of the modalities, and the split.')
        if len(data) < SHORT:
            self.serialize_data = False
        for index in np.unique(np.linspace(0, len(data) - 1, LOOKED_AT).astype(int)).tolist():
            self.check_georeference(data[index]['sample_id'], self.georeferenced(data[index]))
        count = self.num_samples
        if self.fraction is not None:
            count = max(1, round(self.fraction * len(data)))
        if count is None:
            return data
        if count > len(data):
            raise ConfigError(f'num_samples={count}, but {type(self).__name__} has only {len(data)} samples under {self.data_root!r}.')
        chosen = np.sort(np.random.default_rng(self.subset_seed).choice(len(data), count, replace=False))
        return data.take(chosen) if isinstance(data, LazySamples) else [data[i] for i in chosen]

    def georeferenced(self, info: Mapping) -> dict:
        """Files of a sample, by modality, that must show the same ground."""
        sources = {**info['sources'], **({'label': info['seg_source']} if info.get('seg_source') is not None else {})}
        paths = {name: source.get('path') if isinstance(source, Mapping) else source for name, source in sources.items()}
        return {name: path for name, path in paths.items() if isinstance(path, str)}

    def get_data_info(self, idx: int) -> dict:
        """The record of one sample, with what label transforms read."""
        if isinstance(self.data_list, LazySamples):  # made for this call, so that nothing need be copied
            info = dict(self.data_list[idx], sample_idx=idx % len(self.data_list))
        else:
            info = super().get_data_info(idx)
        info['reduce_zero_label'] = self.label_table.reduce_zero_label  # mmseg adds 1 again where it writes predictions
        info['seg_fields'] = []
        return info

    def open_sample(self, info: dict) -> dict:
        """What a pipeline gets of a sample's record. For data sets that read a sample as a whole; it runs with the sample's seed."""
        return info

    def prepare_data(self, idx: int):
        """Run the pipeline on sample ``idx % len(self)``, seeded by (seed, ``idx // len(self)``, sample)."""
        epoch, index = divmod(idx, len(self))
        info = self.get_data_info(index)
        self.check_georeference(info['sample_id'], self.georeferenced(info))
        if self.seed is None:
            return self.pipeline(self.open_sample(info))
        states = np.random.get_state(), random.getstate()
        sequence = np.random.SeedSequence([self.seed, epoch, index])
        words = sequence.generate_state(2)
        np.random.seed(words[0])
        random.seed(int(words[1]))
        try:
            return self.pipeline(self.open_sample(info))
        finally:
            np.random.set_state(states[0])
            random.setstate(states[1])

    def __getitem__(self, idx: int):
        """As MMEngine's, for indices that count on over the epochs; a sample that cannot be read is an error, not another sample."""
        if not self._fully_initialized:
            self.full_init()
        data = self.prepare_data(idx)
        if data is None:
            raise DataError(f'sample {self.get_data_info(idx % len(self))["sample_id"]!r}: the pipeline returned nothing.')
        return data

    def __iter__(self):
        """The samples of one epoch (without this, Python would count indices up for ever)."""
        return (self[index] for index in range(len(self)))
