# 50 % common dimensions.
_base_ = './decur_shapes.py'
model = dict(head=dict(common_dim=128))
