# GeoNRW segmentation in tiles of 250 pixels: ten classes, background ignored (dataset background=True counts it).
_base_ = './paired_segmentation.py'
train_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities'),
    dict(type='RandomResizedCropSeg', size=224, scale=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=256,
    sampler=dict(_delete_=True, type='EpochSampler'),
    dataset=dict(type='GeoNRWDataset', data_root='data/geonrw', split='train', pipeline=train_pipeline))
test_dataloader = dict(batch_size=32, dataset=dict(type='GeoNRWDataset', data_root='data/geonrw', split='test'))
