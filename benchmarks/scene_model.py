"""Land cover of generated Sentinel-1 and Sentinel-2 chips, for maps of whole scenes (benchmarks/scene.py writes both; docs/scenes.md)."""
_base_ = [
    '../configs/_base_/default_runtime.py', '../configs/_base_/datasets/paired_segmentation.py',
    '../configs/_base_/models/fcn_multi_level.py'
]
encoder = dict(type='SmallResNet', stem_channels=16, base_channels=16, strides=(2, 2, 2, 2))
modalities = dict(
    sar=dict(
        channels=2,
        bands=('VV', 'VH'),
        files=dict(folder='s1', suffix='.tif'),
        mean=[-12.4, -19.1],
        std=[4.0, 3.8],
        encoder=encoder),
    optical=dict(
        channels=4,
        bands=('B2', 'B3', 'B4', 'B8'),
        files=dict(folder='s2', suffix='.tif'),
        mean=[560.0, 845.0, 770.0, 2820.0],
        std=[410.0, 460.0, 630.0, 1020.0],
        encoder=encoder))
data = dict(
    data_root='data/scene',
    label=dict(folder='label', suffix='.png'),
    metainfo=dict(
        classes=('water', 'wetland', 'bare', 'forest', 'grass', 'crops', 'built'),
        palette=[[65, 105, 225], [110, 160, 190], [200, 180, 140], [34, 110, 34], [150, 200, 90], [235, 200, 80], [200, 40, 40]]))
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(split='train.txt', **data))
test_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(split='test.txt', **data))
model = dict(decode_head=dict(num_classes=7))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=100, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=100, val_interval=1000000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100))
