"""Windows cover a scene, and blending is a weighted mean that does not depend on how the scene is cut into strips."""
import numpy as np
import pytest

from decur.errors import ConfigError
from decur.scenes.windows import Blend, check_window, starts, taper


@pytest.mark.parametrize('size, window, stride', [(10, 4, 4), (10, 4, 3), (10, 10, 5), (7, 10, 3), (11, 4, 1), (512, 512, 384),
                                                  (513, 512, 384)])
def test_windows_cover(size, window, stride):
    found = starts(size, window, stride)
    covered = np.zeros(size, int)
    for start in found:
        covered[start:start + window] += 1
    assert covered.min() >= 1 and found == sorted(set(found)) and found[0] == 0
    assert all(start + window <= size for start in found) or found == [0]


def test_weights():
    assert (taper(0, 8, 8, 3) == 1).all()  # alone
    assert np.allclose(taper(0, 8, 13, 3), (1, 1, 1, 1, 1, .75, .5, .25))
    assert np.allclose(taper(5, 8, 13, 3), (.25, .5, .75, 1, 1, 1, 1, 1))
    # Two neighbours sum to one over their overlap.
    assert np.allclose(taper(0, 8, 13, 3)[5:] + taper(5, 8, 13, 3)[:3], 1)


def test_blending_is_the_weighted_mean():
    rng = np.random.default_rng(0)
    size, window, overlap = (23, 31), 8, 3
    rows, columns = (starts(length, window, window - overlap) for length in size)
    scores = {(r, c): rng.random((2, window, window)).astype(np.float32) for r in rows for c in columns}
    total, weight = np.zeros((2, *size)), np.zeros(size)
    for (r, c), values in scores.items():
        w = np.outer(taper(r, window, size[0], overlap), taper(c, window, size[1], overlap))
        total[:, r:r + window, c:c + window] += w * values
        weight[r:r + window, c:c + window] += w
    for edges in ((0, 31), (0, 9, 31)):
        found = np.zeros((2, *size), np.float32)
        for left, right in zip(edges[:-1], edges[1:]):
            blend = Blend(2, size, window, (left, right), overlap)
            for i, r in enumerate(rows):
                blend.move_to(r)
                for c in columns:
                    if c < right and c + window > left:
                        blend.add(c, scores[r, c], np.zeros((window, window), bool))
                end = rows[i + 1] if i + 1 < len(rows) else size[0]
                found[:, r:end, left:right], gone = blend.rows(end - r)
                assert not gone.any()
        assert np.allclose(found, total / weight, atol=1e-6)


def test_sizes_that_cannot_be():
    for window, overlap in ((0, 0), (8, 8), (8, -1)):
        with pytest.raises(ConfigError, match='cannot be'):
            check_window(window, overlap)
