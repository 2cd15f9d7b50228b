_base_ = './fcn_landcover_rgb-dem_linear.py'
model = dict(backbone=dict(frozen=False))
