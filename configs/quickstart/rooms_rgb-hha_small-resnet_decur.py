# DeCUR on generated rooms of 64x64 pixels with a small ResNet, for two CPU cores.
_base_ = '../decur/sunrgbd_rgb-hha_r50_decur.py'
encoder = dict(_delete_=True, type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
stream = dict(encoder=encoder, meta=dict(data='generated rooms', licence=None))
views = dict(size=48, scale=(0.3, 1.0))
# Blur is in pixels: what is mild at 224 wipes out an image of 48. Solarize hides the light that tells surfaces apart here.
sharp = dict(blur_prob=0.5, blur_sigma=(0.1, 0.6), solarize_prob=0.0)
modalities = dict(rgb=dict(augmentation=dict(**views, **sharp), **stream), hha=dict(augmentation=views, **stream))
model = dict(neck=dict(hid_channels=1024, out_channels=1024), head=dict(common_dim=768))
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        data_root='data/rooms',
        # One crop for both modalities: better on these scenes than a crop of its own for each.
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=30, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=30)
default_hooks = dict(logger=dict(interval=10))
