"""Model, data and evaluator agree on what a label is, from the file to the figure; what differs is refused."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import entries, write_pairs
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope
from PIL import Image

from decur.engine.labels import check_labels
from decur.errors import ConfigError

PIPELINE = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities'), dict(type='PackSegInputs')]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def dataset(root, classes=300, pipeline=PIPELINE, **kwargs):
    entry = entries(False)['sar']
    return DATASETS.build(dict(type='PairedRasterDataset', modalities=dict(sar=entry), data_root=str(root), pipeline=pipeline,
                               label=dict(folder='label', suffix='.png'), metainfo=dict(classes=[f'c{i}' for i in range(classes)]),
                               **kwargs))


def head(**kwargs):
    model = torch.nn.Module()
    model.decode_head = MODELS.build(dict(type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False, kernel_size=1,
                                          **kwargs))
    return model


@pytest.mark.parametrize('ignore', [65535, -100, 300])
def test_300_classes_from_the_file_to_the_figure(tmp_path, ignore):
    """mmseg's packing, loss and IoU with 16-bit labels, against counting by hand."""
    root = write_pairs(tmp_path, ids=('a', ), size=(20, 20))
    rng = np.random.default_rng(0)
    label = rng.integers(0, 300, (20, 20)).astype(np.uint16)
    label[:2] = 400  # no label
    Image.fromarray(label).save(root / 'label' / 'a.png')
    values = {**{i: f'c{i}' for i in range(300)}, 400: None}
    flip = [*PIPELINE[:3], dict(type='RandomFlip', prob=1.), PIPELINE[3]]
    found = dataset(root, ignore_index=ignore, label_values=values, pipeline=flip)
    sample = found[0]
    packed = sample['data_samples'].gt_sem_seg.data
    expected = np.where(label == 400, ignore, label.astype(np.int64))[:, ::-1]
    assert packed.dtype == torch.int64 and np.array_equal(packed[0], expected)

    model = head(num_classes=300, ignore_index=ignore)
    check_labels(model, found)
    logits = torch.randn(1, 300, 20, 20)
    loss = model.decode_head.loss_by_feat(logits, [sample['data_samples']])['loss_ce']
    seen = packed[0] != ignore
    by_hand = -torch.log_softmax(logits[0], 0)[:, seen].gather(0, packed[:, seen]).sum() / 400
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-4)

    metric = METRICS.build(dict(type='IoUMetric', ignore_index=ignore))
    check_labels(model, found, [metric])
    metric.dataset_meta = found.metainfo
    prediction = torch.where(torch.rand(20, 20) < .5, packed[0].clamp(0, 299), torch.randint(0, 300, (20, 20)))[None]
    metric.process({}, [dict(pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=packed))])
    figures = metric.compute_metrics(metric.results)
    truth, guess = packed[0][seen], prediction[0][seen]
    ious = [((truth == c) & (guess == c)).sum().item() / u for c in range(300) if (u := ((truth == c) | (guess == c)).sum().item())]
    assert figures['mIoU'] == pytest.approx(100 * np.mean(ious), abs=.01)


def test_other_numbers_and_ignore_indices_are_refused(tmp_path):
    found = dataset(write_pairs(tmp_path, ids=('a', )), classes=4)
    check_labels(head(num_classes=4), found, [METRICS.build(dict(type='IoUMetric'))])
    with pytest.raises(ConfigError, match=r'model.decode_head has 3 classes, PairedRasterDataset has 4 \(c0, c1, c2, c3\)'):
        check_labels(head(num_classes=3), found)
    with pytest.raises(ConfigError, match='model.decode_head has 5 classes'):
        check_labels(head(num_classes=5), SimpleNamespace(datasets=[found]))
    with pytest.raises(ConfigError, match='decode_head ignores label 254.*gives pixels without a label 255'):
        check_labels(head(num_classes=4, ignore_index=254), SimpleNamespace(dataset=found))
    with pytest.raises(ConfigError, match='evaluator IoUMetric ignores label 0'):
        check_labels(head(num_classes=4), found, [METRICS.build(dict(type='IoUMetric', ignore_index=0))])
    model = head(num_classes=4, ignore_index=254)
    model.data_preprocessor = SimpleNamespace(size=(8, 8), size_divisor=None, seg_pad_val=255)
    with pytest.raises(ConfigError, match='pads labels with 255, the ignore index is 254'):
        check_labels(model, dataset(tmp_path, classes=4, ignore_index=254))


@pytest.mark.parametrize('transform', [dict(type='Pad', size=(50, 50)), dict(type='RandomRotate', prob=1., degree=(30, 31))])
def test_padding_is_no_class(tmp_path, transform):
    root, pipeline = write_pairs(tmp_path, ids=('a', )), [*PIPELINE[:3], transform, PIPELINE[3]]
    label = dataset(root, classes=4, pipeline=pipeline)[0]['data_samples'].gt_sem_seg.data
    assert (label == 255).any() and label[label != 255].max() < 4
    with pytest.raises(ConfigError, match=f'{transform["type"]} pads labels with 255, the ignore index is 200'):
        dataset(root, classes=4, pipeline=pipeline, ignore_index=200)


def test_every_config_has_as_many_classes_as_its_data(repository):
    from mmengine.config import Config

    from decur.datasets import MultimodalDataset
    count = 0
    for path in sorted((repository / 'configs').rglob('*.py')):
        if '_base_' in path.parts:
            continue
        cfg = Config.fromfile(path)
        for key in ('train_dataloader', 'test_dataloader'):
            data = (cfg.get(key) or {}).get('dataset') or {}
            kind = DATASETS.get(data['type']) if data else None
            classes = ((cfg.get('model') or {}).get('decode_head') or {}).get('num_classes')
            if classes is not None and kind and issubclass(kind, MultimodalDataset):
                table = kind.label_table_of(**{name: value for name, value in data.items() if name != 'type'})
                assert table.classes and len(table.classes) == classes, path
                assert table.ignore_index == cfg.model.decode_head.get('ignore_index', 255), path
                count += 1
    assert count > 50
