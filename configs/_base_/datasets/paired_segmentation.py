# Segmentation of co-located rasters: modalities and label map, concatenated to one image, then mmseg's transforms.
# The leaf config gives modalities, data_root, label, classes and the split of each loader.
default_scope = 'mmseg'
train_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities'), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='EpochInfiniteSampler'),
    dataset=dict(type='PairedRasterDataset', pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairedRasterDataset', pipeline=test_pipeline))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_cfg = dict(type='TestLoop')
