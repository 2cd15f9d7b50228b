# Supplement Table 2, DA: deformable attention without the residual connection.
_base_ = './fcn_geonrw_rgb_r50-rda_linear_1pct.py'
stream = dict(attention={'2': dict(type='DA'), '3': dict(type='DA')})
model = dict(backbone=dict(modalities=dict(rgb=stream)))
