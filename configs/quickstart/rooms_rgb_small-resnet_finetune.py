# RGB segmentation of generated rooms from 128 labelled scenes, all weights trained.
_base_ = '../_base_/small_transfer.py'
encoder = dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
modalities = dict(
    rgb=dict(
        channels=3,
        files=dict(folder='rgb', suffix='.png'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        encoder=encoder))
classes = ('wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table')
palette = [[119, 119, 119], [244, 243, 131], [137, 28, 157], [150, 255, 255], [54, 114, 113], [0, 0, 176], [255, 69, 0]]
data = dict(
    data_root='data/rooms',
    label=dict(folder='label', suffix='.png'),
    metainfo=dict(classes=classes, palette=palette),
    reduce_zero_label=True)
train_dataloader = dict(dataset=dict(split='train.txt', num_samples=128, **data))
test_dataloader = dict(batch_size=32, dataset=dict(split='test.txt', **data))
model = dict(decode_head=dict(num_classes=7))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=400, by_epoch=False)]
train_cfg = dict(max_iters=400)
default_hooks = dict(checkpoint=dict(interval=400))
