# Four times as many steps.
_base_ = './decur_shapes.py'
iterations = 2000
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(max_iters=iterations)
default_hooks = dict(checkpoint=dict(interval=iterations))
