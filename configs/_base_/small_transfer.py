# Segmentation from few labels with small encoders, for CPU cores: the multi-level FCN, AdamW, the decoder at ten times the encoders' rate.
# The leaf config gives the modalities, the data, the classes and the number of iterations, in train_cfg, the polynomial's end and the
# interval of the checkpoint.
_base_ = ['./default_runtime.py', './datasets/paired_segmentation.py', './models/fcn_multi_level.py']
train_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
train_cfg = dict(type='IterBasedTrainLoop', val_interval=1000000)
default_hooks = dict(checkpoint=dict(by_epoch=False))
