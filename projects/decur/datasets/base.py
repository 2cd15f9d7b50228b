"""What every multimodal dataset shares: named modalities, a reproducible draw per sample, errors that name the sample."""
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from decur.errors import ConfigError, DataError
from decur.modalities import check_modalities
from decur.readers.table import LazySamples

from .layouts import Layout


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
            labels are mapped by name and what is left out becomes the ignore index.
        class_groups (dict[str, Sequence[str]], optional): Merge classes: name of the new class to names of those that it is made of; a
            class in no group becomes the ignore index. Replaces ``classes``; a group's colour is its first member's.
        num_samples (int, optional): Keep this many samples, drawn without replacement with ``subset_seed``.
        fraction (float, optional): The same as a share of the dataset, in (0, 1].
        subset_seed (int): Seed of that draw. Defaults to 0.
        reduce_zero_label (bool): 0 in a label file means "no label"; the classes start at 1. Defaults to False.
        ignore_index (int): The label value that no loss and no metric counts. Defaults to 255.
        pipeline (Sequence[dict]): Transforms.
        **kwargs: As in MMEngine's ``BaseDataset``.
    """

    def __init__(self,
                 modalities: Mapping,
                 data_root: str = '',
                 metainfo: Mapping | None = None,
                 class_groups: Mapping | None = None,
                 num_samples: int | None = None,
                 fraction: float | None = None,
                 subset_seed: int = 0,
                 reduce_zero_label: bool = False,
                 ignore_index: int = 255,
                 pipeline: Sequence = (),
                 **kwargs):
        self.modalities = check_modalities(modalities)
        if num_samples is not None and fraction is not None:
            raise ConfigError('give num_samples or fraction, not both.')
        if fraction is not None and not 0 < fraction <= 1:
            raise ConfigError(f'fraction must be in (0, 1], got {fraction}.')
        self.num_samples, self.fraction, self.subset_seed = num_samples, fraction, subset_seed
        self.reduce_zero_label, self.ignore_index = reduce_zero_label, ignore_index
        self.seed = None
        metainfo = dict(metainfo or {})
        self.label_map = self._label_map(metainfo.get('classes'))
        if class_groups:
            metainfo.update(self._group_classes(metainfo, class_groups))
        if self.label_map is not None and 'palette' not in metainfo and 'palette' in self.METAINFO:
            own = list(self.METAINFO['classes'])
            metainfo['palette'] = [self.METAINFO['palette'][own.index(c)] for c in metainfo['classes']]
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

    def bind_transforms(self, transforms: Sequence) -> None:
        """Tell the transforms that ask for it (``bind(modalities, dataset)``) about this dataset; wrappers are searched too."""
        for transform in transforms:
            if hasattr(transform, 'bind'):
                transform.bind(self.modalities, self)
            inner = getattr(transform, 'transforms', None) or getattr(transform, 'subroutines', None)  # RandomChoice, TestTimeAug
            if isinstance(inner, list | tuple):
                for part in inner:
                    self.bind_transforms(part if isinstance(part, list | tuple) else getattr(part, 'transforms', None) or [part])

    @classmethod
    def _label_map(cls, classes: Sequence | None) -> dict | None:
        """Own class index to the index in ``classes`` (255 where it is left out), or None where nothing changes."""
        own = cls.METAINFO.get('classes')
        if not classes or not own or list(classes) == list(own):
            return None
        unknown = [c for c in classes if c not in own]
        if unknown:
            raise ConfigError(f'classes {unknown} are not among those of {cls.__name__}: {list(own)}.')
        return {i: list(classes).index(c) if c in classes else 255 for i, c in enumerate(own)}

    def _group_classes(self, metainfo: Mapping, groups: Mapping) -> dict:
        """Map every class to its group; returns the ``classes`` and ``palette`` of the groups."""
        own = list(metainfo.get('classes') or self.METAINFO.get('classes') or ())
        members = [name for group in groups.values() for name in group]
        wrong = [name for name in members if name not in own] + sorted({name for name in members if members.count(name) > 1})
        if wrong:
            raise ConfigError(f'class_groups names {wrong}, which are no classes or stand in two groups; the classes are {own}.')
        index = {name: i for i, group in enumerate(groups.values()) for name in group}
        self.label_map = {i: index.get(name, 255) for i, name in enumerate(own)}
        palette = metainfo.get('palette') or self.METAINFO.get('palette')
        first = [own.index(group[0]) for group in groups.values()]
        return dict(classes=tuple(groups), **({'palette': [palette[i] for i in first]} if palette else {}))

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
        count = self.num_samples
        if self.fraction is not None:
            count = max(1, round(self.fraction * len(data)))
        if count is None:
            return data
        if count > len(data):
            raise ConfigError(f'num_samples={count}, but {type(self).__name__} has only {len(data)} samples under {self.data_root!r}.')
        chosen = np.sort(np.random.default_rng(self.subset_seed).choice(len(data), count, replace=False))
        return data.take(chosen) if isinstance(data, LazySamples) else [data[i] for i in chosen]

    def get_data_info(self, idx: int) -> dict:
        """The record of one sample, with what label transforms read."""
        info = super().get_data_info(idx)
        info['reduce_zero_label'] = self.reduce_zero_label
        info['label_map'] = self.label_map
        info['seg_fields'] = []
        return info

    def prepare_data(self, idx: int):
        """Run the pipeline on sample ``idx % len(self)``, seeded by (seed, ``idx // len(self)``, sample)."""
        epoch, index = divmod(idx, len(self))
        info = self.get_data_info(index)
        if self.seed is None:
            return self.pipeline(info)
        states = np.random.get_state(), random.getstate()
        sequence = np.random.SeedSequence([self.seed, epoch, index])
        words = sequence.generate_state(2)
        np.random.seed(words[0])
        random.seed(int(words[1]))
        try:
            return self.pipeline(info)
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
