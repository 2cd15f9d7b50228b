# DeCUR on OMBRIA's training scenes: windows of 64x64 pixels, cut while reading.
_base_ = ['../_base_/small_pretraining.py', '../_base_/modalities/ombria.py']
train_dataloader = dict(
    dataset=dict(
        data_root='data/ombria', split='scene_train.txt', in_memory=True, tile=dict(tile_size=(64, 64), stride=(64, 64))))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=12, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=12)
