"""Draws of ShardSampler: every sample once, a process's shards its own, the same whatever is resumed."""
import numpy as np
import pytest

from decur.engine import EpochSampler, ShardSampler
from decur.engine import samplers as samplers_file
from decur.errors import ConfigError


class Shards:
    """As many samples as ``counts`` says, shard by shard."""

    seed = None

    def __init__(self, *counts):
        self.shard_of_sample = np.repeat(np.arange(len(counts)), counts)

    def __len__(self):
        return len(self.shard_of_sample)


def of(monkeypatch, rank, world, dataset, **kwargs):
    monkeypatch.setattr(samplers_file, 'get_dist_info', lambda: (rank, world))
    return ShardSampler(dataset, seed=5, **kwargs)


@pytest.mark.parametrize('world', [1, 2, 3])
@pytest.mark.parametrize('window', [1, 2, 50, None])
def test_an_epoch_has_every_sample_once(monkeypatch, world, window):
    dataset = Shards(7, 5, 9, 3, 6)
    for epoch in range(3):
        draws = []
        for rank in range(world):
            sampler = of(monkeypatch, rank, world, dataset, window=window)
            sampler.set_epoch(epoch)
            own = list(sampler)
            assert len(own) == len(sampler) == 30 // world
            draws += own
        assert sorted(draws) == list(range(30 * epoch, 30 * epoch + 30))


def test_the_list_is_filled_up_and_shards_are_a_process_s_own(monkeypatch):
    dataset = Shards(*[10] * 10)
    own = [list(of(monkeypatch, rank, 2, dataset, window=2)) for rank in range(2)]
    shards = [set((np.array(draws) // 10).tolist()) for draws in own]
    assert not shards[0] & shards[1] and [len(s) for s in shards] == [5, 5]
    uneven = Shards(5, 6)
    draws = [list(of(monkeypatch, rank, 3, uneven)) for rank in range(3)]
    assert [len(d) for d in draws] == [4] * 3 and set(sum(draws, [])) == set(range(11))


def test_a_window_holds_so_many_shards_shuffled(monkeypatch):
    dataset = Shards(*[8] * 6)
    draws = np.array(list(of(monkeypatch, 0, 1, dataset, window=2)))
    blocks = (draws // 8).reshape(3, 16)
    assert all(len(set(block.tolist())) == 2 for block in blocks) and draws.tolist() != sorted(draws)
    assert any((np.diff(block) != 0).sum() > 2 for block in blocks), 'shuffled over the shards of a window'
    assert draws.tolist() == list(of(monkeypatch, 0, 1, dataset, window=2))
    other = of(monkeypatch, 0, 1, dataset, window=2)
    other.set_epoch(1)
    assert (np.array(list(other)) - 48).tolist() != draws.tolist()
    assert list(of(monkeypatch, 0, 1, dataset, shuffle=False)) == list(range(48))


def test_it_goes_on_where_it_was_stopped(monkeypatch):
    dataset = Shards(7, 5, 9, 3, 6)
    for rank in range(2):
        for skipped in (0, 1, 7, 14):
            sampler = of(monkeypatch, rank, 2, dataset, window=2)
            whole = list(sampler)
            sampler.skip(skipped)
            assert list(sampler) == whole[skipped:] and list(sampler) == whole


def test_what_it_refuses(monkeypatch):
    with pytest.raises(ConfigError, match='ShardDataset.*EpochSampler'):
        of(monkeypatch, 0, 1, list(range(4)))
    with pytest.raises(ConfigError, match='window'):
        of(monkeypatch, 0, 1, Shards(3), window=0)
    assert issubclass(ShardSampler, EpochSampler)
