"""Numbers for pixels, and what a label map says of the scene."""
from types import SimpleNamespace

import numpy as np
import pytest

from decur.errors import ConfigError, DataError
from decur.transforms import LoadTargetMap, SceneTarget

LABELS = np.array([[0, 0, 255], [2, 2, 2]], np.uint8)


def scene(kind, labels=LABELS, **kwargs):
    transform = SceneTarget(kind, **kwargs)
    transform.bind({}, SimpleNamespace(label_table=SimpleNamespace(classes=('a', 'b', 'c'), ignore_index=255)))
    return transform(dict(gt_seg_map=labels, sample_id='x'))['gt_label']


def test_the_scene_by_its_labels():
    assert scene('majority') == 2 and isinstance(scene('majority'), int)
    assert scene('shares') == pytest.approx([.4, 0, .6])
    assert scene('present') == [1., 0., 1.] and scene('present', min_share=.5) == [0., 0., 1.]
    with pytest.raises(DataError, match="'x': no pixel has a label"):
        scene('majority', np.full((2, 2), 255, np.uint8))
    with pytest.raises(ConfigError, match="kind must be .* got 'majorty' .did you mean 'majority'"):
        SceneTarget('majorty')
    with pytest.raises(ConfigError, match='the data set names none'):
        SceneTarget().bind({}, SimpleNamespace(label_table=SimpleNamespace(classes=None)))
    with pytest.raises(DataError, match='put LoadLabelMap before'):
        SceneTarget()(dict(sample_id='x'))


def test_numbers_are_scaled_and_missing_ones_are_nan(tmp_path):
    values = np.array([[10, 20], [-9999, 40]], np.float32)
    np.save(tmp_path / 'a.npy', values)
    found = LoadTargetMap(reader=dict(type='NpyReader', missing=-9999), scale=.1)(dict(seg_source=str(tmp_path / 'a.npy'), seg_fields=[]))
    np.testing.assert_allclose(found['gt_depth_map'], [[1, 2], [np.nan, 4]])
    assert found['gt_depth_map'].dtype == np.float32 and found['seg_fields'] == ['gt_depth_map']
    np.save(tmp_path / 'b.npy', np.zeros((2, 2, 3)))
    with pytest.raises(DataError, match='b.npy: a target must be one band, got 3'):
        LoadTargetMap()(dict(seg_source=str(tmp_path / 'b.npy')))
    with pytest.raises(DataError, match="'x' has no target"):
        LoadTargetMap()(dict(sample_id='x'))
