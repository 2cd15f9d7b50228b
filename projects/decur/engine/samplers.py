"""Samplers whose draws depend on nothing but (seed, epoch): the same with any number of workers, and after resuming.

They yield ``epoch * len(dataset) + index`` and hand the run's seed to the dataset, which seeds each sample's pipeline with (seed, epoch,
index) (:meth:`decur.datasets.MultimodalDataset.prepare_data`).
"""
from collections.abc import Iterator

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


def _set_seed(dataset, seed: int) -> None:
    """Set the seed of a dataset and of the datasets that it wraps."""
    if hasattr(dataset, 'seed'):
        dataset.seed = seed
    for inner in [getattr(dataset, 'dataset', None), *(getattr(dataset, 'datasets', None) or [])]:
        if inner is not None:
            _set_seed(inner, seed)


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """One pass over the dataset per epoch, shuffled, split over the processes.

    The list is filled up to a multiple of the number of processes by repeating its start, so that every process draws as many.

    Args:
        dataset (Dataset): A dataset that understands indices beyond its length.
        seed (int, optional): The run's seed; all processes need the same. Defaults to one drawn and shared.
        shuffle (bool): Defaults to True.
    """

    _skipped = 0

    def __init__(self, dataset, seed: int | None = None, shuffle: bool = True):
        self.rank, self.world_size = get_dist_info()
        self.dataset, self.shuffle = dataset, shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        _set_seed(dataset, self.seed)

    def order(self, epoch: int) -> list:
        """Indices of one epoch over all processes, in the order they are drawn."""
        if not self.shuffle:
            return list(range(len(self.dataset)))
        generator = torch.Generator()
        generator.manual_seed(self.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.dataset), generator=generator).tolist()

    def __iter__(self) -> Iterator[int]:
        """Draws of this process in this epoch."""
        length = len(self.dataset)
        order = self.order(self.epoch)
        while len(order) < len(self) * self.world_size:
            order += order[:len(self) * self.world_size - len(order)]
        skipped, self._skipped = self._skipped, 0
        for index in order[self.rank::self.world_size][skipped:]:
            yield self.epoch * length + index

    def __len__(self) -> int:
        """Draws of one process in one epoch."""
        return -(-len(self.dataset) // self.world_size)

    def skip(self, num_samples: int) -> None:
        """Leave out the first ``num_samples`` draws of this process in the epoch that is drawn next, when a run is resumed inside it."""
        self._skipped = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before each epoch."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class EpochInfiniteSampler(EpochSampler):
    """The same, epoch after epoch without end, for iteration-based training."""

    def skip(self, num_samples: int) -> None:
        """Start ``num_samples`` draws of this process later; MMEngine calls it when a run is resumed."""
        self._skipped = num_samples

    def __iter__(self) -> Iterator[int]:
        """Draws of this process, for ever."""
        length = len(self.dataset)
        epoch, position = divmod(self.rank + self._skipped * self.world_size, length)
        while True:
            order = self.order(epoch)
            while position < length:
                yield epoch * length + order[position]
                position += self.world_size
            position -= length
            epoch += 1

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: epochs are counted here."""
