# DeCUR on SUN-RGBD with ResNet50 (supplement B.1, RGB-depth): 8192-d embeddings, 6144 common dimensions, 200 epochs.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/rgb_hha.py', '../_base_/datasets/paired_pretraining.py',
    '../_base_/models/decur.py', '../_base_/schedules/lars_100e.py'
]
train_dataloader = dict(batch_size=32, dataset=dict(data_root='data/sunrgbd', split='train.txt'))
# The published run uses 0.05 for the weights on this data set.
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=200, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=200)
auto_scale_lr = dict(enable=False, base_batch_size=128)
