"""Chips without coordinates are sorted into places by their elevation."""
import sys

import numpy as np
import pytest
from helpers import ROOT
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(ROOT / 'tools' / 'analysis'))
import water_scenes  # noqa: E402


@pytest.fixture(scope='module')
def heights():
    """Chips of 32 pixels from three landscapes: overlapping, touching, the same ground twice, alone, and the sea."""
    rng = np.random.default_rng(0)
    lands = [(gaussian_filter(rng.normal(size=(130, 130)), 4) * 800 + 300).astype(np.int16) for _ in range(3)]
    cut = [(0, 0, 0), (0, 12, 9), (0, 12, 9), (0, 0, 60), (0, 0, 92), (1, 0, 0), (2, 50, 50), (0, 60, 0)]
    chips = [lands[land][row:row + 32, column:column + 32] for land, row, column in cut]
    return np.stack([*chips, np.zeros((32, 32), np.int16), np.zeros((32, 32), np.int16)])


def test_places(heights):
    places = water_scenes.find_places(heights)
    # 0 to 2 overlap (1 and 2 are the same ground), 3 and 4 touch, the two of the sea are equal, the rest are alone.
    assert sorted(places) == [[0, 1, 2], [3, 4], [5], [6], [7], [8, 9]]
    assert places[0] == [0, 1, 2] and [len(place) for place in places] == [3, 2, 2, 1, 1, 1]


def test_noise_does_not_hide_an_overlap(heights):
    noisy = heights + np.random.default_rng(1).integers(-1, 2, heights.shape).astype(np.int16)
    assert [0, 1, 2] in water_scenes.find_places(noisy)


def test_no_place_is_on_both_sides():
    places = [list(range(0, 40)), list(range(40, 60)), [60, 61], [62], [63]]
    lists = water_scenes.splits(places)
    train, test = set(lists['train']), set(lists['test'])
    assert train | test == set(range(64)) and not train & test
    assert all(set(place) <= train or set(place) <= test for place in places)
    assert set(lists['few16_seed0']) <= train and lists['few16_seed0'] != lists['few16_seed1'] and len(lists['few32_seed4']) == 32


def test_another_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['water_scenes.py', str(tmp_path)])
    with pytest.raises(SystemExit):
        water_scenes.main()
    assert '0.tif to 305.tif are released' in capsys.readouterr().err and not list(tmp_path.iterdir())
