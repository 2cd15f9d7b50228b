"""The transforms of this project as TorchGeo's: a callable on their sample dict."""
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError
from decur.modalities import check_modalities, encoder_order, statistics
from decur.readers.torchgeo import as_array, channel_names, check_files, images_of

from .loading import ModalityLoader
from .packing import to_tensor


class TorchGeoTransform:
    """Takes a sample dict of TorchGeo (``image`` ``(C, H, W)``, ``mask``, ``label``, ...) and gives it back, transformed.

    For ``transforms=`` of a TorchGeo data set, or before a model that TorchGeo trains: bands by name in the order of the weights, the
    entry's radiometry, any transforms of this project or of mmseg, and the statistics that the weights were trained with.

    Args:
        modalities (dict[str, dict]): Entries, as in a config; ``files=dict(key=..., channels=...)`` as
            :class:`~decur.datasets.TorchGeoDataset` says.
        transforms (Sequence[dict]): What follows after loading: ``MakeViews``, ``CenterView``; or ``ConcatModalities`` and those that
            change ``img`` and the mask together (``RandomResizedCropSeg``, mmseg's ``RandomFlip``). Defaults to none.
        channels (dict[str, Sequence[str]] | TorchGeo data set, optional): What the channels are called, by key; or the data set, whose
            names are then used.
        normalize (bool): ``(x - mean) / std`` with the entries' statistics, in the encoder's order of channels. Defaults to True.
        join (bool): Write one tensor ``image`` with the modalities' channels one after the other, which TorchGeo's tasks take. With False
            ``image_<name>`` for each. Defaults to True.
        ignore_index (int): The value of a mask that is no class. Defaults to 255.

    Raises:
        ConfigError: As the transforms.
    """

    def __init__(self,
                 modalities: Mapping,
                 transforms: Sequence = (),
                 channels=None,
                 normalize: bool = True,
                 join: bool = True,
                 ignore_index: int = 255):
        self.modalities = check_modalities(modalities)
        self.channels = dict(channels) if isinstance(channels, Mapping) else {} if channels is None else _names_of(channels)
        self.normalize, self.join = normalize, join
        self.files = {name: check_files(name, entry) for name, entry in self.modalities.items()}
        if unclear := [name for name, files in self.files.items() if 'dataset' in files]:
            raise ConfigError(f'modality {unclear[0]!r}: a transform sees one sample; leave dataset out of its files.')
        self.loaders = {name: ModalityLoader(name, entry) for name, entry in self.modalities.items()}
        with TRANSFORMS.switch_scope_and_registry('mmseg') as registry:
            self.transforms = [registry.build(step) if isinstance(step, Mapping) else step for step in transforms]
        dataset = SimpleNamespace(label_table=SimpleNamespace(ignore_index=ignore_index, classes=None), in_memory=False)
        for step in self.transforms:
            if hasattr(step, 'bind'):
                step.bind(self.modalities, dataset)

    def __call__(self, sample: Mapping) -> dict:
        """Transform a sample.

        Args:
            sample (dict[str, Tensor]): Of TorchGeo.

        Returns:
            dict[str, Tensor]: The same without the keys that the modalities were taken from, with ``image`` ``(C, h, w)`` float32 (with
            several views ``(V, C, h, w)``), and ``mask`` ``(h, w)`` int64 where the sample had one.

        Raises:
            DataError: If a key or a date is missing, a mask holds no class indices or is of another size than the images, or images that
                are to be joined differ in size.
        """
        if not isinstance(sample, Mapping):
            raise DataError(f'a transform takes a sample of TorchGeo, a dict of tensors, got {type(sample).__name__}.')
        results = dict(sample_id='', images={}, masks={}, sources={}, seg_fields=[])
        for name, entry in self.modalities.items():
            key = self.files[name]['key']
            sources = images_of(sample, name, entry, self.channels.get(key))
            if len(sources) > 1:
                raise DataError(f'the sample: {key!r} has {len(sources)} dates. Say which: files=dict(date=0) of modality {name!r}.')
            results['images'][name], missing = self.loaders[name](sources[0])
            if missing is not None:
                results['masks'][name] = missing
        if 'mask' in sample:
            results.update(gt_seg_map=_class_indices(sample['mask']), seg_fields=['gt_seg_map'])
        for step in self.transforms:
            results = step(results)
            if results is None:
                raise DataError(f'{type(step).__name__} returned nothing.')
        taken = {files['key'] for files in self.files.values()}
        out = {key: value for key, value in sample.items() if key not in taken and key != 'mask'}
        images = self._images(results)
        out.update(images)
        if 'mask' in sample:
            sizes = sorted({tuple(image.shape[-2:]) for image in images.values()})
            # Views are of parts of the image, and the mask stays whole.
            if 'views' not in results and results['gt_seg_map'].shape not in sizes:
                raise DataError(f"the sample: 'mask' is {results['gt_seg_map'].shape}, the images are {' and '.join(map(str, sizes))}. "
                                "With dict(type='ConcatModalities') first they get the size of the mask.")
            out['mask'] = torch.from_numpy(results['gt_seg_map'].astype(np.int64))
        return out

    def _images(self, results: Mapping) -> dict:
        """The tensors to write."""
        if 'img' in results:
            counts = np.cumsum([entry['channels'] for entry in self.modalities.values()])[:-1]
            arrays = dict(zip(self.modalities, np.split(results['img'], counts, axis=2)))
        else:
            arrays = results.get('views') or results['images']
        tensors = {name: torch.stack([self._tensor(name, view) for view in array]) if isinstance(array, list) else self._tensor(name, array)
                   for name, array in arrays.items()}
        if not self.join:
            return {f'image_{name}': tensor for name, tensor in tensors.items()}
        sizes = {name: tuple(tensor.shape[-2:]) for name, tensor in tensors.items()}
        if len(set(sizes.values())) > 1:
            raise DataError(f'the images cannot be joined, they differ in size: {sizes}. Give them one size (CenterView, MakeViews), or '
                            'set join=False.')
        return dict(image=torch.cat(list(tensors.values()), dim=-3))

    def _tensor(self, name: str, array: np.ndarray) -> torch.Tensor:
        tensor = to_tensor(array).float()
        if not self.normalize:
            return tensor
        entry = self.modalities[name]
        mean, std = statistics(entry)
        return (tensor[encoder_order(entry)] - mean) / std


def _names_of(data) -> dict:
    """What a TorchGeo data set says of its channels.

    Raises:
        ConfigError: If it is none, or says nothing.
    """
    names = {} if isinstance(data, Sequence) and not hasattr(data, 'transforms') else channel_names(data)
    if not names:
        raise ConfigError(f'channels must name the channels by key, channels=dict(image=("VV", "VH")), or be a TorchGeo data set that says '
                          f'what they are called; {type(data).__name__} does not.')
    return names


def _class_indices(mask) -> np.ndarray:
    """A mask as an ``(H, W)`` array of a type that the transforms take.

    Raises:
        DataError: If it has another form, or values that are no class indices.
    """
    label = as_array(mask)
    if label.ndim == 3 and len(label) == 1:
        label = label[0]
    if label.ndim != 2 or not label.size:
        raise DataError(f"the sample: 'mask' has shape {label.shape}, expected (H, W) or (1, H, W).")
    low, high = label.min(), label.max()
    whole = label.dtype.kind in 'iub' or label.dtype.kind == 'f' and np.array_equal(label, np.trunc(label))
    if not whole or not -2**15 <= low <= high < 2**15:
        raise DataError(f"the sample: 'mask' ({label.dtype}) has values from {low} to {high}; class indices are whole numbers below 32768.")
    return label.astype(np.uint8 if low >= 0 and high <= 255 else np.int16)
