# Supplement Table 2, CBAM.
_base_ = './fcn_geonrw_rgb_r50_linear_1pct.py'
stream = dict(attention={'2': dict(type='CBAM'), '3': dict(type='CBAM')})
model = dict(backbone=dict(modalities=dict(rgb=stream)))
