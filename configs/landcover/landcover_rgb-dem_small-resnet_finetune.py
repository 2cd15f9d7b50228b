_base_ = './landcover_rgb-dem_small-resnet_frozen.py'
model = dict(backbone=dict(frozen=False))
