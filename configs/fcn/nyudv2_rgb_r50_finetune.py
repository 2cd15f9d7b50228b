# FCN-ResNet50 on the RGB images of NYU-Depth v2, 40 classes (supplement B.2): batch 8, 40k iterations.
# The encoder of a DeCUR checkpoint: --cfg-options model.backbone.pretrained=FILE
_base_ = ['../_base_/datasets/cmx_rgbd.py', '../_base_/default_runtime.py']
crop_size = (480, 640)
modalities = dict(
    rgb=dict(
        channels=3,
        bands=('R', 'G', 'B'),
        reader=dict(type='PillowReader', mode='RGB'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        encoder=dict(type='mmpretrain.ResNet', depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))))
head = dict(
    type='FCNHead',
    num_classes=40,
    dropout_ratio=0.1,
    norm_cfg=dict(type='BN'),
    align_corners=False)
loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
# mmseg's fcn_r50-d8: a dilated ResNet50 (output stride 8) and an auxiliary head, here on one modality's stream.
model = dict(
    type='MultimodalSegmentor',
    data_preprocessor=dict(type='MultimodalSegDataPreprocessor', size=crop_size, pad_val=0, seg_pad_val=255),
    backbone=dict(type='MultimodalBackbone', fusion=dict(type='ConcatFusion'), frozen=False),
    decode_head=dict(in_index=3, channels=512, num_convs=2, concat_input=True, loss_decode=loss, **head),
    auxiliary_head=dict(
        in_index=2, channels=256, num_convs=1, concat_input=False, loss_decode=dict(loss_weight=0.4, **loss), **head),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
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
# Supplement B.2, RGB-depth transfer with FCN: SGD 0.01 with polynomial decay, weight decay 1e-5, 40k iterations.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-5))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-4, begin=0, end=40000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
sync_bn = 'torch'
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4000, save_best='mIoU'))
