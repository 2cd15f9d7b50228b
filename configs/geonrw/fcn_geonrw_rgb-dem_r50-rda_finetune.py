_base_ = './fcn_geonrw_rgb-dem_r50-rda_linear.py'
model = dict(backbone=dict(frozen=False))
