# DeCUR on optical bands and elevation of the training places, 150 steps.
_base_ = ['../_base_/small_pretraining.py', '../_base_/modalities/water.py']
model = dict(neck=dict(hid_channels=256, out_channels=256), head=dict(common_dim=192))
train_dataloader = dict(batch_size=32, dataset=dict(data_root='data/water', split='train.txt', in_memory=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=25, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=25)
default_hooks = dict(checkpoint=dict(interval=25))
