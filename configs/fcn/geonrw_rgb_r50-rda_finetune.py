# The encoders are trained too.
_base_ = './geonrw_rgb_r50-rda_frozen.py'
model = dict(backbone=dict(frozen=False))
