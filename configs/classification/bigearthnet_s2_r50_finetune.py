# The encoders are trained too, at a tenth of the rate.
_base_ = './bigearthnet_s2_r50_frozen.py'
model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(optimizer=dict(lr=0.05))
