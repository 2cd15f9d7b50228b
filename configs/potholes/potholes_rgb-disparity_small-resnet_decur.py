# DeCUR on road surfaces: RGB and disparity, 120 steps of all 40 training pictures.
_base_ = ['../_base_/small_pretraining.py', '../_base_/modalities/potholes.py']
model = dict(neck=dict(hid_channels=256, out_channels=256), head=dict(common_dim=192))
train_dataloader = dict(batch_size=40, dataset=dict(data_root='data/potholes', split='train.txt', in_memory=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=120, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=120)
default_hooks = dict(checkpoint=dict(interval=120))
