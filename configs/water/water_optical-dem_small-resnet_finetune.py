# Water, encoders trained too; give the encoders with model.backbone.pretrained=CHECKPOINT. Frozen: model.backbone.frozen=True. Elevation
# alone: modalities.optical=None model.decode_head.in_channels=(24,48,96). All labels: train_dataloader.dataset.split=train.txt.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/water.py', '../_base_/datasets/paired_segmentation.py',
    '../_base_/models/fcn_multi_level.py'
]
data = dict(
    data_root='data/water',
    in_memory=True,
    label=dict(folder='labels', suffix='.png'),
    metainfo=dict(classes=('land', 'water'), palette=[[200, 190, 160], [0, 90, 200]]))
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(split='few32_seed0.txt', **data))
test_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(split='test.txt', **data))
test_evaluator = dict(type='PerClassIoUMetric')
model = dict(decode_head=dict(num_classes=2, in_channels=(48, 96, 192)))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=80, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=80, val_interval=1000000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=80))
