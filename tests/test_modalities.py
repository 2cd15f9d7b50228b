import numpy as np
import pytest
import torch

from decur.errors import ConfigError, DataError
from decur.modalities import band_names, check_finite, check_modalities, concat, select, split, statistics

ENTRIES = dict(sar=dict(channels=2, bands=('VV', 'VH')), optical=dict(channels=13, mean=[1.0], std=[2.0]), dem=dict(channels=1))


def test_split_inverts_concat_for_tensors_and_arrays():
    tensors = {name: torch.randn(2, entry['channels'], 4, 5) for name, entry in ENTRIES.items()}
    joined = concat(tensors, ENTRIES)
    assert joined.shape == (2, 16, 4, 5)
    parts = split(joined, ENTRIES)
    assert list(parts) == list(ENTRIES)
    assert all(torch.equal(parts[name], tensors[name]) for name in ENTRIES)
    arrays = {name: x[0].permute(1, 2, 0).numpy() for name, x in tensors.items()}
    back = split(concat(arrays, ENTRIES, axis=-1), ENTRIES, axis=-1)
    assert all(np.array_equal(back[name], arrays[name]) for name in ENTRIES)


def test_concat_follows_the_entries_not_the_batch():
    batch = dict(b=torch.ones(1, 1, 1, 1), a=torch.zeros(1, 1, 1, 1))
    assert concat(batch, dict(a=dict(channels=1), b=dict(channels=1))).flatten().tolist() == [0, 1]


def test_concat_names_what_is_missing():
    with pytest.raises(DataError, match='optical'):
        concat(dict(sar=torch.zeros(1, 2, 1, 1), dem=torch.zeros(1, 1, 1, 1)), ENTRIES)


def test_split_of_a_wrong_channel_count_names_the_modalities():
    with pytest.raises(ConfigError, match="'optical': 13"):
        split(torch.zeros(1, 15, 2, 2), ENTRIES)


@pytest.mark.parametrize('entry, message', [
    (dict(), 'has no channels'),
    (dict(channels=0), 'channels must be a positive integer'),
    (dict(channels=2, mean=[1, 2, 3], std=[1, 1, 1]), 'mean has 3 values for 2 channels'),
    (dict(channels=2, bands=('VV', )), 'bands has 1 values'),
    (dict(channels=2, chanels=2), "unknown key.*'chanels'"),
])
def test_a_wrong_entry_is_named(entry, message):
    with pytest.raises(ConfigError, match=message):
        check_modalities(dict(sar=entry))


def test_an_entry_of_none_is_removed_and_an_empty_mapping_refused():
    assert list(check_modalities(dict(a=dict(channels=1), b=None))) == ['a']
    with pytest.raises(ConfigError, match='empty'):
        check_modalities(dict(a=None))
    with pytest.raises(ConfigError, match='cannot name'):
        check_modalities({'rgb-1': dict(channels=1)})


def test_select_keeps_the_order_asked_for_and_names_the_unknown():
    assert list(select(ENTRIES, ['dem', 'sar'])) == ['dem', 'sar']
    with pytest.raises(ConfigError, match="thermal.*'sar', 'optical', 'dem'"):
        select(ENTRIES, ['thermal'])


def test_statistics_and_band_names_have_defaults():
    mean, std = statistics(ENTRIES['optical'])
    assert mean.shape == std.shape == (13, 1, 1) and mean.eq(1).all() and std.eq(2).all()
    mean, std = statistics(ENTRIES['dem'])
    assert mean.item() == 0 and std.item() == 1
    assert band_names('sar', ENTRIES['sar']) == ('VV', 'VH')
    assert band_names('dem', ENTRIES['dem']) == ('dem_1', )


def test_values_that_are_not_finite_are_named():
    modalities = dict(sar=dict(channels=2, bands=('VV', 'VH')), dem=dict(channels=7))
    inputs = dict(sar=torch.zeros(3, 2, 4, 5), dem=torch.zeros(3, 7, 4, 5, dtype=torch.int16))
    check_finite(inputs, modalities)
    inputs['sar'][1, 1, 2, 2], inputs['sar'][2, 1, 0] = float('inf'), float('nan')
    with pytest.raises(DataError, match=r"'sar'.* 2 of 3 samples \(b, c\), channels \(VH\), 6 values\. Fill") as caught:
        check_finite(inputs, modalities, ids=['a', 'b', 'c'])
    assert '\n' not in str(caught.value)
    some = r'8 of 9 samples \(1, 2, 3, 4, 5 and 3 more\), channels \(0, 1, 2, 3, 4 and 2 more\), 56 values'
    with pytest.raises(DataError, match=f"'dem'.* {some}"):
        check_finite(dict(dem=torch.cat([torch.zeros(1, 7), torch.full((8, 7), float('nan'))])), modalities)


@pytest.mark.parametrize('statistics', [
    dict(std=0), dict(std=[1., 0., 1.]), dict(std=[-1.]), dict(std=float('inf')), dict(mean=float('nan')),
    dict(mean=[0., float('inf'), 0.]), dict(mean='128'), dict(mean=['1', '2', '3'])])
def test_statistics_that_cannot_be(statistics):
    with pytest.raises(ConfigError, match=f"modality 'rgb': {next(iter(statistics))} must hold finite numbers"):
        check_modalities(dict(rgb=dict(channels=3, **statistics)))


def test_statistics_of_any_kind_of_number():
    for mean in (3, 3., np.float32(3), [1, 2, 3], np.ones(3), (0.5, )):
        check_modalities(dict(rgb=dict(channels=3, mean=mean, std=mean)))
