# The same by epochs.
_base_ = './iterations.py'
train_dataloader = dict(num_workers=0, sampler=dict(_delete_=True, type='EpochSampler', shuffle=True), dataset=dict(num_images=32))
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=3)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=3, by_epoch=True)]
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=1))
log_processor = dict(by_epoch=True)
