# Flood mapping on OMBRIA, encoders trained too; give the encoders with model.backbone.pretrained=CHECKPOINT. Fewer labels:
# train_dataloader.dataset.split=scene_few32_seed0.txt; other floods: test_dataloader.dataset.split=event2021.txt.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/ombria.py', '../_base_/datasets/paired_segmentation.py',
    '../_base_/models/fcn_multi_level.py'
]
data = dict(
    data_root='data/ombria',
    in_memory=True,
    label=dict(folder='label', suffix='.png'),
    metainfo=dict(classes=('dry', 'flood'), palette=[[200, 190, 160], [0, 90, 200]]))
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(split='scene_train.txt', **data))
test_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(split='scene_test.txt', **data))
test_evaluator = dict(type='PerClassIoUMetric')
model = dict(decode_head=dict(num_classes=2))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=200, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=200, val_interval=1000000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200))
