_base_ = './bigearthnet_landcover_s1-s2_linear.py'
model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(optimizer=dict(lr=0.05))
