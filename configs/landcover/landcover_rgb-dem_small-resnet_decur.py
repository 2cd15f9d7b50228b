# DeCUR on generated aerial RGB and elevation of 128x128 pixels with a small ResNet, for two CPU cores.
_base_ = '../decur/geonrw_rgb-dem_r50_decur.py'
encoder = dict(_delete_=True, type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
stream = dict(encoder=encoder, meta=dict(data='generated land cover', licence=None))
views = dict(size=48, scale=(0.15, 0.6))
modalities = dict(
    # Blur is in pixels: what is mild at 224 wipes out a view of 48. Solarize hides the light that tells surfaces apart.
    rgb=dict(augmentation=dict(blur_sigma=(0.1, 0.6), solarize_prob=0.0, **views), **stream),
    dem=dict(augmentation=views, **stream))
model = dict(neck=dict(hid_channels=512, out_channels=512), head=dict(common_dim=384))
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root='data/landcover/geonrw',
        # Images of another size than the release's are read whole.
        tile=None,
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=24, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=24)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=8))
