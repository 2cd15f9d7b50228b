"""Data sets of controlled factors (:mod:`decur.synthetic.factors`), made in memory: nothing to download, nothing on disk."""
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
        num_images (int): N.
        sample_seed (int): Seed of the draw; training and test sets of one world differ in it alone.
        **kwargs: As :class:`MultimodalDataset`.
    """

    def __init__(self, modalities: Mapping, num_images: int = 4096, sample_seed: int = 0, **kwargs):
        if num_images < 1:
            raise ConfigError(f'num_images must be at least 1, got {num_images}.')
        entries = {name: {'reader': dict(type='ArrayReader'), **entry} for name, entry in modalities.items() if entry is not None}
        self.num_images, self.sample_seed = num_images, sample_seed
        self.world = self.build_world({name: entry['channels'] for name, entry in entries.items()})
        described = {
            name: dict(kind=spec.kind, modalities=spec.modalities, role=spec.role(entries)) for name, spec in self.world.factors.items()
        }
        super().__init__(entries, metainfo=dict(kwargs.pop('metainfo', None) or {}, factors=described), **kwargs)

    def build_world(self, channels: Mapping[str, int]):
        """The world that the samples are of."""
        raise NotImplementedError

    def draw(self) -> tuple[dict, dict]:
        """``{modality: (N, H, W, C)}`` and ``{factor: (N, ...)}``."""
        raise NotImplementedError

    def load_data_list(self) -> list:
        """Draw all samples."""
        images, factors = self.draw()
        width = len(str(self.num_images - 1))
        return [
            dict(sample_id=f'{self.sample_seed}_{i:0{width}d}',
                 sources={name: x[i] for name, x in images.items()},
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

    def __init__(self, modalities: Mapping, factors: Mapping[str, Sequence], styles: Mapping | None = None, image_size: int = 32, **kwargs):
        self.world_args = dict(factors={k: v for k, v in factors.items() if v is not None}, styles=styles, image_size=image_size)
        super().__init__(modalities, **kwargs)

    def build_world(self, channels: Mapping[str, int]) -> RenderedWorld:
        """The rendered world."""
        return RenderedWorld(channels, **self.world_args)

    def draw(self) -> tuple[dict, dict]:
        """Draw factors, then pictures."""
        values = self.world.sample_factors(self.num_images, self.sample_seed)
        return self.world.render(values), values


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

    def __init__(self, modalities: Mapping, shared: int = 4, private: int = 4, pair: int = 0, noise: float = 0.1, world_seed: int = 0,
                 **kwargs):
        self.world_args = dict(shared=shared, private=private, pair=pair, noise=noise, world_seed=world_seed)
        super().__init__(modalities, **kwargs)

    def build_world(self, channels: Mapping[str, int]) -> LinearGaussianWorld:
        """The linear-Gaussian world."""
        return LinearGaussianWorld(channels, **self.world_args)

    def draw(self) -> tuple[dict, dict]:
        """Draw factors and observations."""
        observed, values = self.world.sample(self.num_images, self.sample_seed)
        return {name: x[:, None, None, :] for name, x in observed.items()}, values
