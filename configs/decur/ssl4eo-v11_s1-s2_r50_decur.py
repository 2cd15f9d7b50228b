# DeCUR on SSL4EO-S12 v1.1: its zarr archives, and statistics of values that carry an offset of 1000.
_base_ = './ssl4eo_s1-s2_r50_decur.py'
modalities = dict(
    sar=dict(radiometry=[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_v11_s1')]),
    optical=dict(radiometry=[dict(type='ToEightBit', statistics='ssl4eo_v11_s2c')]))
train_dataloader = dict(dataset=dict(data_root='data/ssl4eo-s12', split='train'))
