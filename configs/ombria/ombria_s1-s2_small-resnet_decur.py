# DeCUR on OMBRIA's training scenes: windows of 64x64 pixels, cut while reading.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/ombria.py', '../_base_/datasets/paired_pretraining.py',
    '../_base_/schedules/lars_100e.py'
]
model = dict(
    type='MultimodalPretraining',
    backbone=dict(type='MultimodalBackbone'),
    neck=dict(type='MultimodalProjector', hid_channels=512, out_channels=512),
    head=dict(type='DeCURHead', common_dim=384))
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root='data/ombria',
        split='scene_train.txt',
        in_memory=True,
        tile=dict(tile_size=(64, 64), stride=(64, 64)),
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=12, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=12)
default_hooks = dict(logger=dict(interval=10))
