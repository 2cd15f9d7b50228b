"""A sampler for data that lie in shards: it draws from a few shards at a time, so that a cache of a few shards serves an epoch."""
import threading
from collections.abc import Iterator

import numpy as np
from mmengine.registry import DATA_SAMPLERS

from ..errors import ConfigError
from .samplers import EpochSampler


@DATA_SAMPLERS.register_module()
class ShardSampler(EpochSampler):
    """One pass over the data set per epoch, in which samples of ``window`` shards are shuffled together.

    The order of the shards is drawn for each epoch; every process takes its contiguous share of the samples in that order, so its shards
    are its own but for those at the ends. The list is filled up to a multiple of the number of processes by repeating its start. As with
    :class:`EpochSampler` the draws depend on (seed, epoch) only, and a resumed run goes on with the next one. Where shards are fetched from
    an address, those of the next window are fetched while this one is drawn.

    Args:
        dataset (ShardDataset): Or a data set with ``shard_of_sample`` in its way.
        window (int, optional): Shards that are shuffled together. With an address two windows of all products must fit in its cache.
            Defaults to 4 with an address, and to all of a process's shards in a folder.
        **kwargs: As :class:`EpochSampler`.

    Raises:
        ConfigError: If the data set has no shards, or its cache is too small for two windows.
    """

    def __init__(self, dataset, window: int | None = None, **kwargs):
        super().__init__(dataset, **kwargs)
        if not hasattr(dataset, 'shard_of_sample'):
            raise ConfigError(f'ShardSampler draws from data sets in shards (ShardDataset), got {type(dataset).__name__}. '
                              'Use EpochSampler.')
        cache, self.shards = getattr(dataset, 'cache', None), dataset.shard_of_sample
        if window is None:
            window = 4 if cache is not None else int(self.shards.max()) + 1
        if window < 1:
            raise ConfigError(f'window must be at least 1 shard, got {window}.')
        self.window = window
        if cache is not None:
            largest = int(np.sort(dataset.shard_bytes())[::-1][:2 * window].sum())
            if largest > cache.limit:
                raise ConfigError(f'two windows of {window} shards have {largest / 2**30:.1f} GiB, the cache may hold '
                                  f'{cache.limit / 2**30:.1f}: set dataset.cache_size, or a smaller sampler.window.')

    def _windows(self, epoch: int) -> list:
        """Draws of this process in an epoch, and their shards, window by window."""
        rng = np.random.default_rng([self.seed, epoch])
        numbers = np.unique(self.shards)
        if self.shuffle:
            rng.shuffle(numbers)
        place = np.empty(self.shards.max() + 1, np.int64)
        place[numbers] = np.arange(len(numbers))
        order = np.argsort(place[self.shards], kind='stable')
        share = len(self)
        own = order[np.arange(self.rank * share, (self.rank + 1) * share) % len(order)]
        window = np.cumsum(np.diff(place[self.shards[own]], prepend=place[self.shards[own[0]]]) != 0) // self.window
        out = []
        for number in range(int(window[-1]) + 1):
            samples = own[window == number]
            shards = np.unique(self.shards[samples])
            if self.shuffle:
                # Its own generator: what a process draws does not depend on how many there are before it.
                np.random.default_rng([self.seed, epoch, int(self.shards[samples[0]]), self.rank]).shuffle(samples)
            out.append((samples, shards))
        return out

    def __iter__(self) -> Iterator[int]:
        """Draws of this process in this epoch."""
        length, windows = len(self.dataset), self._windows(self.epoch)
        skipped, self._skipped = self._skipped, 0
        for number, (samples, _) in enumerate(windows):
            if skipped >= len(samples):
                skipped -= len(samples)
                continue
            if number + 1 < len(windows) and getattr(self.dataset, 'cache', None) is not None:
                threading.Thread(target=self.dataset.fetch_shards, args=(windows[number + 1][1], ), daemon=True).start()
            for index in samples[skipped:]:
                yield self.epoch * length + int(index)
            skipped = 0
