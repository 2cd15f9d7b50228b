"""How the picture of OMBRIA is made: which chips, which colours, which figures."""
import numpy as np
import ombria_figure as figure
import pytest


def test_chips_are_those_at_percentiles_of_the_gain():
    gains = np.array([3., -10., 0., 50., 20., 10., 30.])
    assert figure.choose(gains, [0, 50, 100]) == [3, 5, 1]  # the largest first
    assert len(set(figure.choose(gains, [50, 51, 52]))) == 3  # no chip twice


def test_colours_say_what_is_right_and_wrong():
    label, found = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    dry, flood, missed, wrong = figure.COLOURS.values()
    assert figure.compared(found, label)[0].tolist() == [list(flood), list(missed), list(wrong), list(dry)]
    assert figure.iou(found, label) == pytest.approx(100 / 3) and figure.iou(~label & label, ~label & label) == 100


def test_both_dates_have_one_stretch():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 100, (20, 20, 1), dtype=np.uint8), rng.integers(100, 200, (20, 20, 1), dtype=np.uint8)
    first, second = figure.stretched([before, after])
    assert first.shape == (20, 20, 3) and first.max() < second.min()
    one, two = figure.stretched([before, before])
    assert (one == two).all() and one.max() == 255


def test_predictions_are_kept(tmp_path, monkeypatch):
    masks = np.random.default_rng(0).random((2, 16, 24)) < .5
    calls = []

    def segmentor(config, checkpoint):
        calls.append(checkpoint)
        return lambda files: dict(prediction=masks[int(files['sar'][-5])].astype(np.uint8))

    monkeypatch.setattr(figure, 'SegmentationInferencer', segmentor)
    for _ in range(2):
        found = figure.predict(tmp_path / 'a.pth', tmp_path, ['0', '1'], tmp_path / 'kept' / 'a.npy')
        assert (found == masks).all()
    assert len(calls) == 1
