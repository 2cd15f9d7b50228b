"""Normalisation by modality on the device, for pretraining and classification (dicts) and for segmentation (one tensor)."""
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from torch import Tensor
from torch.nn import functional as F

from decur.errors import ConfigError, DataError
from decur.modalities import check_finite, check_modalities, check_names, concat, encoder_order, split, statistics
from decur.transforms.augmentation import Draws, Geometry

from .deferred import Deferred
from .device_views import DeviceViews
from .missing import present_masks


def build_preprocessor(preprocessor: Mapping | BaseDataPreprocessor | None, modalities: Mapping) -> BaseDataPreprocessor:
    """The preprocessor of a model on inputs by modality: a config is built, by default a :class:`MultimodalDataPreprocessor`.

    Args:
        preprocessor (dict | BaseDataPreprocessor | None): A config, whose ``modalities`` default to the model's, or a module.
        modalities (dict[str, dict]): The model's entries.
    """
    if preprocessor is None or isinstance(preprocessor, Mapping):
        return MODELS.build(dict(dict(type='MultimodalDataPreprocessor', modalities=modalities), **(preprocessor or {})))
    return preprocessor


def sample_names(data_samples: Sequence | None) -> list:
    """What messages call the samples of a batch: their ``sample_id``, else the path of their image, else their index."""
    return [str(getattr(sample, 'sample_id', None) or getattr(sample, 'img_path', index))
            for index, sample in enumerate(data_samples or ())]


class HidesModalities:
    """Mixin of preprocessors that can leave ``modalities`` out, to test a model without them."""

    absent: tuple = ()

    def hide(self, absent: Sequence[str]) -> None:
        """Change which modalities are ``absent``.

        Raises:
            ConfigError: If one is none of the modalities, or all are absent.
        """
        absent = (absent, ) if isinstance(absent, str) else tuple(absent)
        check_names(absent, self.modalities)
        if set(absent) == set(self.modalities):
            raise ConfigError(f'all modalities {list(self.modalities)} are absent: leave one.')
        self.absent = absent


@MODELS.register_module()
class MultimodalDataPreprocessor(HidesModalities, BaseDataPreprocessor):
    """Normalise ``{name: tensors}`` with each modality's mean and standard deviation.

    Args:
        modalities (dict[str, dict]): Entries; ``mean`` and ``std`` are in the units of the data that the pipeline leaves (0 and 1 if
            absent).
        absent (Sequence[str]): Modalities that are left out of the batch, as if no sample had them. Defaults to none.

    Raises:
        ConfigError: If an absent modality is none of the modalities, or all are absent.
    """

    def __init__(self, modalities: Mapping, absent: Sequence[str] = (), non_blocking: bool = True):
        super().__init__(non_blocking=non_blocking)
        self.modalities = check_modalities(modalities)
        #: Whether views are normalised in training only when they are encoded, a part at a time (:mod:`~decur.models.gradient_caching`).
        self.deferred = False
        self._device_views: dict = {}
        self.hide(absent)
        for name, entry in self.modalities.items():
            mean, std = statistics(entry)
            self.register_buffer(f'mean_{name}', mean, persistent=False)
            self.register_buffer(f'std_{name}', std, persistent=False)
        self.orders = {name: encoder_order(entry) for name, entry in self.modalities.items()}

    def normalize(self, name: str, x: Tensor) -> Tensor:
        """``(x - mean) / std`` of one modality.

        Args:
            name (str): The modality.
            x (Tensor): ``(N, C, H, W)`` of any dtype.

        Returns:
            Tensor: float32, channels-last in memory (the faster layout for convolutions on CPU and GPU).

        Raises:
            DataError: If the batch has another number of channels than the modality.
        """
        mean = getattr(self, f'mean_{name}')
        if x.ndim != 4 or x.shape[1] != len(mean):
            raise DataError(f'modality {name!r} has {len(mean)} channels, but its batch has shape {tuple(x.shape)}, '
                            f'expected (N, {len(mean)}, H, W). Check channels in its entry against the files.')
        if self.orders[name] != sorted(self.orders[name]):
            x = x[:, self.orders[name]]
        x = x.to(dtype=torch.float32, memory_format=torch.channels_last)
        return (x - mean) / getattr(self, f'std_{name}')

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move a collated batch to the device and normalise it.

        Args:
            data (dict): ``inputs``: ``{name: (N, C, H, W)}`` or ``{name: [view, ...]}``; ``data_samples``: list, handed on.

        Returns:
            dict: The same structure, normalised.

        Raises:
            ConfigError: If the inputs are not by modality, or there is a modality that the model does not have.
            DataError: If channels are missing or, outside of training (where
                :class:`~decur.engine.hooks.non_finite.NonFiniteLossHook` says it), a value is not finite.
        """
        inputs = self.cast_data(data['inputs'])
        if not isinstance(inputs, Mapping):
            raise ConfigError(f'inputs must be a dict by modality {list(self.modalities)}, got {type(inputs).__name__}: '
                              'end the pipeline with PackModalities.')
        check_names(inputs, self.modalities)
        if not training:
            present = present_masks(list(inputs), data.get('data_samples'), torch.device('cpu'))
            for name, value in inputs.items():
                for x in () if name in self.absent else [value] if isinstance(value, Tensor) else value:
                    names = sample_names(data.get('data_samples')) or [str(index) for index in range(len(x))]
                    rows = range(len(x)) if present is None else present[name].nonzero()[:, 0].tolist()
                    check_finite({name: x if present is None else x[rows]}, self.modalities, [names[row] for row in rows])
        out = {}
        for name, value in inputs.items():
            if name in self.absent:
                continue
            out[name] = self.normalize(name, value) if isinstance(value, Tensor) else self._views(name, value, data.get('data_samples'))
            if not isinstance(value, Tensor) and not (training and self.deferred):
                out[name] = [x.tensor() for x in out[name]]
        return dict(inputs=out, data_samples=data.get('data_samples'))

    def _views(self, name: str, images: Sequence[Tensor], data_samples: Sequence | None) -> list:
        """Normalised views of a modality, deferred; made here where they were only drawn (:class:`~decur.transforms.MakeViews`)."""
        draws = [getattr(sample, 'draws', None) for sample in data_samples or ()]
        if all(one is None for one in draws):
            return [Deferred(partial(self.normalize, name), x) for x in images]
        if name not in self._device_views:
            augmentation = dict(dict(type='ViewAugmentation'), **self.modalities[name]['augmentation'])
            self._device_views[name] = DeviceViews(TRANSFORMS.build(augmentation))
        views = self._device_views[name]

        def make(x, parameters):
            return self.normalize(name, views(x, parameters))

        nothing = Draws(Geometry(0, 0, 1, 1, False, False))  # of samples that lack the modality
        return [Deferred(make, x, views.parameters([one[name][view] if one[name] else nothing for one in draws], x.shape[1],
                                                     x.shape[2:]))
                for view, x in enumerate(images)]


@MODELS.register_module()
class MultimodalSegDataPreprocessor(HidesModalities, SegDataPreProcessor):
    """mmseg's preprocessor with the statistics of several modalities, channels concatenated in their order.

    Args:
        modalities (dict[str, dict]): Entries; ``mean``, ``std`` per modality.
        absent (Sequence[str]): Modalities whose channels are set to zero, which is their mean, to test a model without them. Defaults to
            none.
        pad_around (bool): Pad an image that is smaller than ``size`` (of ``test_cfg`` when testing) on all four sides, as the published
            CMX does, and not only below and to the right. Without ``size`` there is nothing to pad. Defaults to False.
        **kwargs: As mmseg's ``SegDataPreProcessor`` (``size``, ``size_divisor``, ``pad_val``, ``seg_pad_val``, ``test_cfg``). Padding is
            applied after normalisation, so ``pad_val=0`` is each channel's mean.

    Raises:
        ConfigError: If an absent modality is none of the modalities, or all are absent.
    """

    def __init__(self, modalities: Mapping, absent: Sequence[str] = (), pad_around: bool = False, **kwargs):
        if kwargs.get('size') is None:
            kwargs.setdefault('size_divisor', 1)  # mmseg wants one of the two: pad a batch to its largest image
        super().__init__(mean=None, std=None, **kwargs)
        self.modalities = check_modalities(modalities)
        pairs = [statistics(entry) for entry in self.modalities.values()]
        self.register_buffer('mean', torch.cat([mean for mean, _ in pairs]), persistent=False)
        self.register_buffer('std', torch.cat([std for _, std in pairs]), persistent=False)
        self.pad_around = pad_around
        self.order = []
        for entry in self.modalities.values():
            start = len(self.order)
            self.order += [start + i for i in encoder_order(entry)]
        self.hide(absent)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Check the channels, then normalise, pad and stack as mmseg does.

        Raises:
            DataError: If an input has another number of channels than the modalities together or, outside of training, a value that is
                not finite: one such pixel would decide the classes of many.
        """
        names = sample_names(data.get('data_samples'))
        for index, x in enumerate(data['inputs']):
            if x.shape[0] != len(self.mean):
                sizes = {name: entry['channels'] for name, entry in self.modalities.items()}
                raise DataError(f'an input of shape {tuple(x.shape)} does not have the {len(self.mean)} channels of the modalities '
                                f'{sizes}.')
            if not training:
                parts = {name: x[None] for name, x in split(x, self.modalities, axis=0).items() if name not in self.absent}
                check_finite(parts, self.modalities, names[index:index + 1])
        data = self.cast_data(data)
        # Normalised here: mmseg would only after the padding around.
        reorder = self.order != sorted(self.order)  # indexing copies the image
        inputs = [((x[self.order] if reorder else x).float() - self.mean) / self.std for x in data['inputs']]
        samples = data.get('data_samples')
        size = self.size if training else (self.test_cfg or {}).get('size')
        margins = None
        if self.pad_around and size:
            margins = [self._margins(x, size) for x in inputs]
            inputs = [F.pad(x, margin, value=self.pad_val) for x, margin in zip(inputs, margins)]
            if training:
                for sample, margin in zip(samples, margins):
                    sample.gt_sem_seg = PixelData(data=F.pad(sample.gt_sem_seg.data, margin, value=self.seg_pad_val))
        data = super().forward(dict(inputs=inputs, data_samples=samples), training)
        if margins and not training:
            for sample, margin in zip(data['data_samples'] or (), margins):
                sample.set_metainfo(dict(img_padding_size=margin))  # what mmseg cuts off the logits
        if self.absent:
            inputs = split(data['inputs'], self.modalities)
            inputs.update({name: torch.zeros_like(inputs[name]) for name in self.absent})
            data['inputs'] = concat(inputs, self.modalities)
        return data

    @staticmethod
    def _margins(x: Tensor, size: Sequence[int]) -> tuple:
        """Pixels to add at the left, right, top and bottom of ``(C, H, W)``; where it cannot be halved the larger part comes after."""
        height, width = (max(wanted - got, 0) for wanted, got in zip(size, x.shape[1:]))
        return width // 2, width - width // 2, height // 2, height - height // 2
