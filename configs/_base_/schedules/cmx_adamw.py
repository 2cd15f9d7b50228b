# CMX's schedule: AdamW with decay on weights only; warm-up over 10 epochs times a polynomial from iteration 0, both per iteration.
# The leaf config sets the number of epochs in train_cfg and in the polynomial's end.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    # flat: every one-dimensional parameter, which includes the joint projections' biases inside attention.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0))
warmup = dict(type='LinearLR', start_factor=1e-6, begin=0, end=10, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [warmup, dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=500, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500, val_begin=250, val_interval=25)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# Batch norms of the fusion and the decoder see all processes' images.
sync_bn = 'torch'
