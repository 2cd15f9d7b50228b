# DeCUR on generated rooms of 72x96 pixels, prepared from SUN-RGBD's layout, with a MiT-B0 of one block a stage, for CPU cores.
_base_ = '../decur/decur_sunrgbd.py'
encoder = dict(arch='b0', num_layers=(1, 1, 1, 1), init_cfg=None)
stream = dict(encoder=encoder, feature_channels=256, meta=dict(data='generated rooms', licence=None))
# Views, light and alignment as in configs/quickstart, which says why.
views = dict(size=32, scale=(0.3, 1.0))
sharp = dict(blur_prob=0.5, blur_sigma=(0.1, 0.6), solarize_prob=0.0)
modalities = dict(rgb=dict(augmentation=dict(**views, **sharp), **stream), hha=dict(augmentation=views, **stream))
model = dict(neck=dict(hid_channels=512, out_channels=512), head=dict(common_dim=384))
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        data_root='data/rooms_sunrgbd',
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=8, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=8)
default_hooks = dict(logger=dict(interval=15), checkpoint=dict(interval=8))
