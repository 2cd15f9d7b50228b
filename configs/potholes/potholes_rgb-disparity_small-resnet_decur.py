# DeCUR on road surfaces: RGB and disparity, 150 steps of all 40 training pictures.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/potholes.py', '../_base_/datasets/paired_pretraining.py',
    '../_base_/schedules/lars_100e.py'
]
model = dict(
    type='MultimodalPretraining',
    backbone=dict(type='MultimodalBackbone'),
    neck=dict(type='MultimodalProjector', hid_channels=512, out_channels=512),
    head=dict(type='DeCURHead', common_dim=384))
train_dataloader = dict(
    batch_size=40,
    num_workers=1,
    dataset=dict(
        data_root='data/potholes',
        split='train.txt',
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=150, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=150)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=150))
