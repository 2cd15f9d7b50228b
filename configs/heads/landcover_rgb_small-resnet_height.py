# A number for every pixel: height above sea level (m) from RGB, encoders frozen. The target is any raster, as the label of PairedRasterDataset.
_base_ = '../landcover/landcover_rgb-dem_small-resnet_frozen.py'
modalities = dict(dem=None, rgb=dict(files=dict(_delete_=True, folder='aachen', pattern='{id}_rgb.jp2')))
model = dict(
    type='MultimodalPixelRegressor',
    decode_head=dict(
        _delete_=True, type='PixelRegressionHead', in_index=(1, 2, 3), dropout_ratio=0.0, align_corners=False, target_mean=240.0,
        target_std=80.0))
data = dict(
    _delete_=True,
    type='PairedRasterDataset',
    data_root='data/landcover/geonrw',
    label=dict(folder='aachen', pattern='{id}_dem.tif'),
    georeference='ignore')
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadModalities'),
            dict(type='LoadTargetMap'),
            dict(type='ConcatModalities'),
            dict(type='RandomResizedCropSeg', size=96, scale=(0.2, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs')
        ],
        **data))
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadModalities'),
            dict(type='LoadTargetMap'),
            dict(type='ConcatModalities'),
            dict(type='PackSegInputs')
        ],
        **data))
test_evaluator = dict(_delete_=True, type='RegressionErrors')
