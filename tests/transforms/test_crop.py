"""One random box for the image and its labels."""
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError


def crop(size=(60, 80), **kwargs):
    y, x = np.mgrid[:size[0], :size[1]].astype(np.uint8)
    results = dict(img=np.stack([y, x], -1).astype(np.float32), gt_seg_map=x.copy(), seg_fields=['gt_seg_map'])
    return TRANSFORMS.build(dict(type='RandomResizedCropSeg', size=32, **kwargs)).transform(results)


def test_labels_lie_where_the_image_lies():
    for seed in range(50):
        np.random.seed(seed)
        out = crop()
        assert out['img'].shape == (32, 32, 2) and out['gt_seg_map'].shape == (32, 32) == out['img_shape']
        assert out['gt_seg_map'].dtype == np.uint8
        # The image interpolates the column's number, the label is the nearest column.
        assert np.abs(out['img'][..., 1] - out['gt_seg_map']).max() <= 0.51


def test_share_of_the_area_is_uniform_and_the_ratio_bounded():
    np.random.seed(0)
    shares, ratios = [], []
    for _ in range(400):
        out = crop((200, 200))['img']
        height, width = ((out[-1, -1] - out[0, 0]) * 32 / 31)
        shares.append(height * width / 200**2)
        ratios.append(width / height)
    # Uniform up to 3/4; above, a box of share a fits in with a chance of log(1 / a) / log(4 / 3), and is drawn again otherwise.
    assert np.percentile(shares, [0, 25, 50, 75, 100]) == pytest.approx([.2, .367, .534, .702, 1], abs=.04)
    assert min(ratios) == pytest.approx(3 / 4, abs=.04) and max(ratios) == pytest.approx(4 / 3, abs=.06)


def test_bad_ranges():
    with pytest.raises(ConfigError, match='scale'):
        crop(scale=(0.2, 2))
