# Controlled factors in two modalities: do common dimensions hold what is shared, and unique ones what is private?
# Pictures of 24x24 pixels: shape and texture are shared; each modality has its own colour and orientation.
_base_ = '../_base_/default_runtime.py'
default_scope = 'mmpretrain'
views = dict(type='NoiseAugmentation', std=0.1, shift=1, brightness=0.1)
# Small enough for `make study` on two CPU cores: stages of 12x12, 6x6 and 3x3 pixels, 64 features.
encoder = dict(
    type='SmallResNet', stem_channels=16, base_channels=16, stem_stride=2, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1),
    out_indices=(2, ))
modalities = dict(
    optical=dict(channels=3, mean=[0.5], std=[0.25], augmentation=views, encoder=encoder),
    radar=dict(channels=2, mean=[0.5], std=[0.25], augmentation=views, encoder=encoder))
world = dict(
    type='RenderedFactorsDataset',
    image_size=24,
    factors=dict(
        shape=[('optical', 'radar')],
        texture=[('optical', 'radar')],
        colour=[('optical', ), ('radar', )],
        orientation=[('optical', ), ('radar', )]))
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='EpochInfiniteSampler'),
    collate_fn=dict(type='multimodal_collate'),
    dataset=dict(
        num_images=8192, sample_seed=0, pipeline=[dict(type='LoadModalities'), dict(type='MakeViews'), dict(type='PackModalities')],
        **world))
# What tools/decoupling.py scores: other samples, without noise.
score_dataset = dict(
    num_images=2000, sample_seed=1,
    pipeline=[dict(type='LoadModalities'), dict(type='PackModalities', meta_keys=('sample_id', 'factors'))], **world)
model = dict(
    type='MultimodalPretraining',
    backbone=dict(type='MultimodalBackbone', out_indices=(0, 1, 2)),
    # 75 % common dimensions, as the paper's models of GeoNRW and SUN-RGBD (6144 of 8192).
    neck=dict(type='MultimodalProjector', hid_channels=256, out_channels=256),
    head=dict(type='DeCURHead', common_dim=192, lambd=0.0051, statistics=False))
iterations = 500
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10**9)
default_hooks = dict(
    logger=dict(interval=100), checkpoint=dict(by_epoch=False, interval=iterations, max_keep_ckpts=1, save_optimizer=False))
log_processor = dict(by_epoch=False)
