# GeoNRW segmentation in tiles of 250 pixels: ten classes, background ignored (dataset background=True counts it).
_base_ = './paired_segmentation.py'
train_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities'),
    # A random resized crop of 0.2 to 1 of the area.
    dict(type='RandomResize', scale=(224, 224), ratio_range=(1.0, 2.236), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(224, 224)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=256,
    sampler=dict(_delete_=True, type='EpochSampler'),
    dataset=dict(type='GeoNRWDataset', data_root='data/geonrw', split='train', pipeline=train_pipeline))
test_dataloader = dict(batch_size=32, dataset=dict(type='GeoNRWDataset', data_root='data/geonrw', split='test'))
