_base_ = './landcover_s1-s2_small-resnet_frozen.py'
model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(optimizer=dict(lr=0.05))
