# DeCUR on road surfaces: RGB and disparity, 120 steps of all 40 training pictures.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/potholes.py', '../_base_/datasets/paired_pretraining.py',
    '../_base_/schedules/lars_100e.py'
]
model = dict(
    type='MultimodalPretraining',
    backbone=dict(type='MultimodalBackbone'),
    neck=dict(type='MultimodalProjector', hid_channels=256, out_channels=256),
    head=dict(type='DeCURHead', common_dim=192))
train_dataloader = dict(
    batch_size=40,
    num_workers=1,
    dataset=dict(
        data_root='data/potholes',
        split='train.txt',
        in_memory=True,
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=120, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=120)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=120))
