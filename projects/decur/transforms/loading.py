"""Sources to arrays: the images of every modality and the label map."""
from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from decur.errors import DataError
from decur.modalities import encoder_order, statistics
from decur.readers import InMemoryReader, Reader, build_reader, read_marked, source_name
from decur.readers.missing import check_measurements, mask, split
from decur.readers.shards import ShardError
from decur.readers.types import as_image
from decur.writing import WriteError


def keep_in_memory(reader):
    """A reader that decodes every file once. A callable that is no :class:`~decur.readers.Reader` stays as it is."""
    return InMemoryReader(reader) if isinstance(reader, Reader) and not isinstance(reader, InMemoryReader) else reader


class BoundTransform(BaseTransform):
    """A transform that needs the dataset's modality entries; the dataset binds it when it is built."""

    modalities: dict | None = None

    def bind(self, modalities: Mapping, dataset) -> None:
        """Remember the entries.

        Args:
            modalities (dict[str, dict]): The dataset's entries.
            dataset (MultimodalDataset): The dataset, for its classes and ignore index.
        """
        self.modalities = modalities


class ModalityLoader:
    """From a source, or an image in memory, to the image that a model is given: radiometry, checks, missing pixels filled.

    :class:`LoadModalities` uses it for data sets, :mod:`decur.apis` for single images.

    Args:
        name (str): The modality.
        entry (dict): Its entry.
    """

    def __init__(self, name: str, entry: Mapping):
        self.name, self.entry = name, entry
        self.reader = build_reader(entry.get('reader'), names=entry.get('bands'))
        self.radiometry = [TRANSFORMS.build(cfg) for cfg in entry.get('radiometry') or ()]
        #: ``(C,)`` in the order of the reader's channels; the entry gives it in that of the encoder.
        self.mean = np.zeros(entry['channels'])
        self.mean[encoder_order(entry)] = statistics(entry)[0].numpy().reshape(-1)

    def __call__(self, source) -> tuple:
        """Read a source.

        Returns:
            tuple: ``(H, W, C)`` image, uint8, uint16, int16 or float32, every value of which is a number; and ``(H, W, C)`` bool, True
            where it was missing, or None. Missing pixels have the entry's ``mean``, 0 after normalisation (the nearest value that
            an integer type holds), or what the reader's ``nodata`` says.

        Raises:
            DataError: If it cannot be read, has another number of channels than the entry, or values that are no numbers.
        """
        name = source_name(source)
        try:
            return self.finish(read_marked(self.reader, source), name)
        except (ShardError, WriteError):  # of a shard or the cache's disk: the message names it
            raise
        except DataError as error:
            if name in str(error):
                raise
            raise DataError(f'{name}: {error}') from error

    def finish(self, image: np.ndarray, source: str | None = None) -> tuple:
        """The same for an image ``(H, W, C)`` in the units of the files: a masked array where pixels are missing.

        Args:
            image (ndarray): Of any type of real numbers.
            source (str, optional): Where it comes from, for messages.
        """
        where = source or f'the image of modality {self.name!r}'
        values, missing = split(image)
        values = as_image(values, where)
        check_measurements(values, self.name, self.entry.get('bands'), source, missing)
        image = mask(values, missing)
        try:
            for step in self.radiometry:
                image = step(image)
        except DataError as error:
            raise DataError(f'modality {self.name!r}: {error}') from error
        if image.ndim != 3 or image.shape[2] != self.entry['channels']:
            if source is None:
                raise DataError(f'modality {self.name!r} takes images (H, W, {self.entry["channels"]}), got {image.shape}.')
            raise DataError(f'{where}: modality {self.name!r} has {self.entry["channels"]} channels, the file has shape {image.shape} '
                            '(H, W, C). Correct channels in the entry, or choose bands with reader=dict(type=..., bands=[...]).')
        values, left = split(image)
        self._check_range(values.dtype, source)
        if left is not None:
            missing = left
        elif missing is not None and missing.shape != values.shape:
            missing = None  # a step that gave the channels a new meaning, and a value to each
        if self.radiometry:
            values = as_image(values, where)
            check_measurements(values, self.name, self.entry.get('bands'), source, missing)
        self._check_fractions(values, missing, source)
        if missing is not None and getattr(self.reader, 'nodata', None) is None:
            values = fill(values, missing, self.mean)
        return values, missing

    def _check_range(self, dtype: np.dtype, source: str | None) -> None:
        """Refuse a type of integers that cannot represent the mean of a channel: 8 bits for reflectances of 16, or for decibels."""
        if dtype.kind not in 'iu':
            return
        limits = np.iinfo(dtype)
        beyond = np.flatnonzero((self.mean < limits.min) | (self.mean > limits.max))
        if not beyond.size:
            return
        channel = int(beyond[0])
        raise DataError(f'{source or "the image"}: modality {self.name!r} is {dtype}, of {limits.min} to {limits.max}, but its mean is '
                        f'{self.mean[channel]:g} in channel {channel}, so the values seem to be in other units than the statistics. Give '
                        'files in the units of the training, or the mean and std of these values. If the values are right: '
                        "reader=dict(type=..., dtype='float32').")

    def _check_fractions(self, values: np.ndarray, missing: np.ndarray | None, source: str | None) -> None:
        """Refuse fractions of 1 where the means of several channels are in tens and thousands; missing pixels do not count.

        Of one channel this cannot be told: a flat coast has elevations of less than two metres.
        """
        if values.dtype.kind != 'f' or len(self.mean) < 2 or self.mean.min() < 50:
            return
        for step in (16, 1):  # most images end the check with their first pixels
            part = values[::step, ::step]
            if missing is not None:
                part = part[~missing[::step, ::step]]
            if np.abs(part).max(initial=0) > 2:
                return
        if np.array_equal(part, np.rint(part)):  # nothing but 0, for example
            return
        raise DataError(f'{source or "the image"}: modality {self.name!r} has values from {part.min():.3g} to {part.max():.3g}, but its '
                        f'mean is {self.mean.min():g} or more in every channel, so they seem to be fractions where the statistics are not. '
                        'Give files in the units of the training (reflectances times 10000, say), or the mean and std of fractions.')


def fill(image: np.ndarray, missing: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Set the missing pixels of each channel to a value, rounded to the nearest that the image's type can represent.

    Args:
        image (ndarray): ``(H, W, C)``.
        missing (ndarray): ``(H, W, C)`` bool.
        values (ndarray): ``(C,)``.
    """
    if image.dtype.kind in 'iu':
        limits = np.iinfo(image.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return np.where(missing, values.astype(image.dtype), image)


@TRANSFORMS.register_module()
class LoadModalities(BoundTransform):
    """Read every modality with the reader of its entry.

    Needs ``sources`` (``{name: source or None}``); adds ``images`` (``{name: (H, W, C) array or None}``), with the entry's ``radiometry``
    applied and as many channels as it says, and ``masks`` (``{name: (H, W, C) bool}``, True where a pixel is missing; only of images that
    have such), see :class:`ModalityLoader`. A list of sources (one per view, see :class:`DrawSeasons`) gives lists of images and masks;
    a source that occurs twice in it is read once.
    """

    def bind(self, modalities: Mapping, dataset) -> None:
        """Build one loader per entry."""
        super().bind(modalities, dataset)
        self.loaders = {name: ModalityLoader(name, entry) for name, entry in modalities.items()}
        if getattr(dataset, 'in_memory', False):
            for loader in self.loaders.values():
                loader.reader = keep_in_memory(loader.reader)

    def transform(self, results: dict) -> dict:
        """Read the sample.

        Raises:
            DataError: See :class:`ModalityLoader`.
        """
        results['images'], results['masks'] = {}, {}
        for name, loader in self.loaders.items():
            source = results['sources'].get(name)
            if source is None:
                results['images'][name] = None
                continue
            if isinstance(source, list):
                read: list = []
                for i, one in enumerate(source):
                    twin = source.index(one)
                    read.append(read[twin] if twin < i else loader(one))
                images, masks = map(list, zip(*read))
                missing = masks if any(m is not None for m in masks) else None
            else:
                images, missing = loader(source)
            results['images'][name] = images
            if missing is not None:
                results['masks'][name] = missing
        return results
