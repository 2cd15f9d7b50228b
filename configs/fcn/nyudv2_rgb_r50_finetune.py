# FCN-ResNet50 on the RGB images of NYU-Depth v2, 40 classes (supplement B.2): batch 8, 40k iterations.
# The encoder of a DeCUR checkpoint: --cfg-options model.backbone.pretrained=FILE
_base_ = [
    '../_base_/datasets/cmx_rgbd.py', '../_base_/default_runtime.py', '../_base_/models/fcn_r50-d8.py',
    '../_base_/schedules/sgd_40k.py'
]
crop_size = (480, 640)
modalities = dict(
    rgb=dict(
        channels=3,
        bands=('R', 'G', 'B'),
        reader=dict(type='PillowReader', mode='RGB'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        encoder=dict(type='mmpretrain.ResNet', depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))))
model = dict(
    data_preprocessor=dict(size=crop_size), decode_head=dict(num_classes=40), auxiliary_head=dict(num_classes=40))
train_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities', resize=False),
    dict(type='RandomResize', scale=(640, 480), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
data = dict(type='NYUv2Dataset', data_root='data/nyudv2')
train_dataloader = dict(
    batch_size=8, sampler=dict(type='EpochInfiniteSampler'), dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4000, save_best='mIoU'))
