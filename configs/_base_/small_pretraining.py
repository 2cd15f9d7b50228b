# DeCUR with small encoders on few data, for CPU cores: AdamW, and views of a sample that show the same ground in all modalities.
# The leaf config gives the modalities, data_root and the number of epochs, in train_cfg and in the cosine's T_max.
_base_ = ['./default_runtime.py', './datasets/paired_pretraining.py']
model = dict(
    type='MultimodalPretraining',
    backbone=dict(type='MultimodalBackbone'),
    neck=dict(type='MultimodalProjector', hid_channels=512, out_channels=512),
    head=dict(type='DeCURHead', common_dim=384))
train_dataloader = dict(
    num_workers=1,
    dataset=dict(pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    constructor='NdimOptimWrapperConstructor',
    paramwise_cfg=dict())
train_cfg = dict(type='EpochBasedTrainLoop')
default_hooks = dict(logger=dict(interval=10))
