"""Data sets of controlled factors (:mod:`decur.synthetic.factors`), generated in memory."""
from collections.abc import Mapping, Sequence

from mmengine.registry import DATASETS

from decur.datasets.base import MultimodalDataset
from decur.errors import ConfigError

from .factors import LinearGaussianWorld, RenderedWorld


class FactorsDataset(MultimodalDataset):
    """Samples with known factors: ``factors={name: value}`` in every record.

    End the pipeline with ``PackModalities(meta_keys=('sample_id', 'factors'))`` to find them in the data sample. ``metainfo['factors']``
    says of each factor its ``kind``, the ``modalities`` that show it and its ``role``.

    Args:
        modalities (dict[str, dict]): Entries; ``channels`` of each is used.
        world (dict): Further arguments of the subclass's ``world_class``, whose ``sample(num, seed)`` gives ``{modality: (N, [H, W,] C)}``
            and ``{factor: (N, ...)}``.
        num_images (int): N.
        sample_seed (int): Seed of the draw; training and test sets of one world differ in it alone.
        **kwargs: As :class:`MultimodalDataset`.
    """

    world_class: type

    def __init__(self, modalities: Mapping, world: Mapping, num_images: int = 4096, sample_seed: int = 0, **kwargs):
        if num_images < 1:
            raise ConfigError(f'num_images must be at least 1, got {num_images}.')
        entries = {name: {'reader': dict(type='ArrayReader'), **entry} for name, entry in modalities.items() if entry is not None}
        self.num_images, self.sample_seed = num_images, sample_seed
        self.world = self.world_class({name: entry['channels'] for name, entry in entries.items()}, **world)
        described = {
            name: dict(kind=spec.kind, modalities=spec.modalities, role=spec.role(entries)) for name, spec in self.world.factors.items()
        }
        super().__init__(entries, metainfo=dict(kwargs.pop('metainfo', None) or {}, factors=described), **kwargs)

    def load_data_list(self) -> list:
        """Draw all samples."""
        images, factors = self.world.sample(self.num_images, self.sample_seed)
        width = len(str(self.num_images - 1))
        return [
            dict(sample_id=f'{self.sample_seed}_{i:0{width}d}',
                 sources={name: x[i].reshape(*x.shape[1:-1] or (1, 1), -1) for name, x in images.items()},
                 factors={name: v[i].item() if v[i].ndim == 0 else v[i].tolist() for name, v in factors.items()})
            for i in range(self.num_images)
        ]


@DATASETS.register_module()
class RenderedFactorsDataset(FactorsDataset):
    """Pictures of :class:`~decur.synthetic.factors.RenderedWorld`: float32 in [0, 1].

    Args:
        modalities (dict[str, dict]): Entries.
        factors (dict): ``{attribute: groups of modalities}``, see there.
        styles (dict, optional): See there.
        image_size (int): Pixels. Defaults to 32.
        **kwargs: As :class:`FactorsDataset`.
    """

    world_class = RenderedWorld

    def __init__(self, modalities: Mapping, factors: Mapping[str, Sequence], styles: Mapping | None = None, image_size: int = 32, **kwargs):
        factors = {attribute: groups for attribute, groups in factors.items() if groups is not None}
        super().__init__(modalities, dict(factors=factors, styles=styles, image_size=image_size), **kwargs)


@DATASETS.register_module()
class LinearGaussianDataset(FactorsDataset):
    """Observations of :class:`~decur.synthetic.factors.LinearGaussianWorld` as images of one pixel, ``(1, 1, D)``.

    Args:
        modalities (dict[str, dict]): Entries; ``channels`` is D.
        shared, private, pair (int): Lengths of the factors, see there.
        noise (float): See there.
        world_seed (int): See there.
        **kwargs: As :class:`FactorsDataset`.
    """

    world_class = LinearGaussianWorld

    def __init__(self, modalities: Mapping, shared: int = 4, private: int = 4, pair: int = 0, noise: float = 0.1, world_seed: int = 0,
                 **kwargs):
        super().__init__(modalities, dict(shared=shared, private=private, pair=pair, noise=noise, world_seed=world_seed), **kwargs)
