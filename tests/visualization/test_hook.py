"""What a test run leaves of its predictions: a file for every sample, whatever its name, in the colours of the data set."""
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from decur.datasets.labels import LabelTable
from decur.visualization import PredictionPictureHook
from decur.visualization.hook import shown_images


def test_every_sample_has_a_file_of_its_own(tmp_path):
    table = LabelTable(classes=('a', 'b', 'c'), ignore_index=200)  # without a palette
    dataset = SimpleNamespace(metainfo=dict(classes=table.classes, palette=table.palette), label_table=table,
                              modalities=dict(rgb=dict(channels=3), dem=dict(channels=1)))
    runner = SimpleNamespace(test_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset)))
    names = ['siteA/a', 'siteB/a', 'siteA_a', 'scene.1', 'scene.2', 'a b', 'tile@0,64', 'x.png', 'x']
    hook = PredictionPictureHook(str(tmp_path), max_pictures=2)
    rng, labels = np.random.default_rng(0), {}
    for start in range(0, len(names), 4):
        batch, outputs = [], []
        for name in names[start:start + 4]:
            labels[name] = rng.integers(0, 3, (6, 7))
            sample = SegDataSample(metainfo=dict(img_path=name))
            sample.pred_sem_seg = PixelData(data=torch.from_numpy(labels[name])[None])
            sample.gt_sem_seg = PixelData(data=torch.full((1, 6, 7), 200))
            batch.append(torch.from_numpy(rng.integers(0, 256, (4, 6, 7), dtype=np.uint8)))
            outputs.append(sample)
        hook.after_test_iter(runner, start // 4, dict(inputs=batch, data_samples=outputs), outputs)
    written = {path: None for path in (tmp_path / 'predictions').rglob('*.png')}
    assert len(written) == len(names)
    for name, label in labels.items():
        with Image.open(tmp_path / 'predictions' / f'{name}.png') as image:
            assert np.array_equal(np.asarray(image), label), name
            assert np.array_equal(np.asarray(image.convert('RGB')), np.array(table.palette)[label])
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) == 2


def test_of_several_views_the_image_as_it_is_in_the_file_is_shown():
    """Test-time augmentation: a batch is a list of views, each of all samples."""
    views = []
    for scale, flip in ((2, False), (1, True), (1, False)):
        shape = (6 * scale, 8 * scale)
        views.append(([torch.full((1, *shape), sample * 10 + scale + flip) for sample in range(2)],
                      [SegDataSample(metainfo=dict(ori_shape=(6, 8), img_shape=shape, flip=flip)) for _ in range(2)]))
    batch = dict(inputs=[images for images, _ in views], data_samples=[samples for _, samples in views])
    assert [int(x.unique()) for x in shown_images(batch)] == [1, 11]
    assert [int(x.unique()) for x in shown_images(dict(inputs=views[0][0]))] == [2, 12]
