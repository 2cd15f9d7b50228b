# DeCUR on SSL4EO-S12 v1.1 as it is shipped now: tar shards of four dates, whose values carry no offset.
_base_ = './ssl4eo_s1-s2_r50_decur.py'
modalities = dict(
    sar=dict(files=dict(product='S1GRD'), radiometry=[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_v11_s1')]),
    optical=dict(files=dict(product='S2L1C'), radiometry=[dict(type='ToEightBit', statistics='ssl4eo_v11_shards_s2c')]))
train_dataloader = dict(
    sampler=dict(type='ShardSampler'), dataset=dict(type='ShardDataset', data_root='data/ssl4eo-s12-v1.1', split='train'))
