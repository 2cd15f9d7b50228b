# DeCUR on generated Sentinel-1 and Sentinel-2 of 96x96 pixels with a small ResNet, for two CPU cores.
_base_ = '../decur/ssl4eo_s1-s2_r50_decur.py'
encoder = dict(_delete_=True, type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
# Blur is in pixels: what is mild at 224 wipes out a view of 48. Solarize hides the light that tells surfaces apart.
views = dict(size=48, blur_sigma=(0.1, 0.6), solarize_prob=0.0)
stream = dict(
    encoder=encoder, meta=dict(data='generated land cover', licence=None), reader=dict(size=96), augmentation=views)
modalities = dict(sar=stream, optical=stream)
model = dict(neck=dict(hid_channels=512, out_channels=512), head=dict(common_dim=448))
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root='data/landcover/ssl4eo',
        # One crop for both modalities.
        pipeline=[
            dict(type='DrawSeasons', mode='independent'),
            dict(type='LoadModalities'),
            dict(type='MakeViews', aligned=True),
            dict(type='PackModalities')
        ]))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=40, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=40)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10))
