_base_ = './bigearthnet_s1-s2_r50-rda_linear.py'
model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(optimizer=dict(lr=0.05))
