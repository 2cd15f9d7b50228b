_base_ = './fcn_geonrw_rgb-dem_r50_linear.py'
model = dict(
    data_preprocessor=dict(modalities=dict(dem=None)),
    backbone=dict(modalities=dict(dem=None)),
    decode_head=dict(in_channels=(512, 1024, 2048)))
train_dataloader = dict(dataset=dict(modalities=dict(dem=None)))
test_dataloader = dict(dataset=dict(modalities=dict(dem=None)))
