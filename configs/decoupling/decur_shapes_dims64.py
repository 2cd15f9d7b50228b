# 64 dimensions, 75 % of them common: fewer than the functions that a modality's private factors offer.
_base_ = './decur_shapes.py'
model = dict(neck=dict(out_channels=64), head=dict(common_dim=48))
