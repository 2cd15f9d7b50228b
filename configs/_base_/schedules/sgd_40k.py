# Supplement B.2, RGB-depth transfer with FCN: SGD 0.01 with polynomial decay, weight decay 1e-5, 40k iterations.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-5))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-4, begin=0, end=40000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
sync_bn = 'torch'
