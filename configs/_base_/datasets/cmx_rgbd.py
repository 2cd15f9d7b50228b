# CMX's way of reading RGB-D images: flip, one of six scales, crop; no photometric changes. The preprocessor pads images and labels.
# The images of a scene are registered pixel on pixel, so other sizes are an error.
# Tested as FCN on these data is too (configs/fcn). The leaf config gives modalities, the data set class, data_root and crop_size.
default_scope = 'mmseg'
train_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities', resize=False),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[[dict(type='Resize', scale_factor=scale, keep_ratio=True)] for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)]),
    dict(type='RandomCrop', crop_size=(480, 640), cat_max_ratio=1.0),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities', resize=False),
    dict(type='PackSegInputs')
]
# The label is read after resizing, so that it keeps its size.
tta_pipeline = [
    dict(type='LoadModalities'),
    dict(type='ConcatModalities', resize=False),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=scale, keep_ratio=True) for scale in (0.75, 1.0, 1.25)],
            [dict(type='RandomFlip', prob=0.0, direction='horizontal'), dict(type='RandomFlip', prob=1.0, direction='horizontal')],
            [dict(type='LoadLabelMap')],
            [dict(type='PackSegInputs')],
        ])
]
tta_model = dict(type='SegTTAModel')
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='EpochSampler'),
    dataset=dict(split='train', pipeline=train_pipeline))
# Images differ in size: one at a time.
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
