# CMX on generated rooms of 72x96 pixels, prepared from SUN-RGBD's layout: 128 labelled scenes, MiT-B0 of one block a stage.
_base_ = '../cmx/sunrgbd_rgb-hha_mit-b2_finetune.py'
encoder = dict(arch='b0', num_layers=(1, 1, 1, 1))
modalities = dict(rgb=dict(encoder=encoder), hha=dict(encoder=encoder))
crop_size = (48, 48)
model = dict(
    data_preprocessor=dict(size=crop_size, test_cfg=dict(size=crop_size)),
    decode_head=dict(channels=64),
    test_cfg=dict(_delete_=True, mode='whole'))
train_pipeline = [
    dict(type='LoadModalities'),
    dict(type='LoadLabelMap'),
    dict(type='ConcatModalities', resize=False),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[[dict(type='Resize', scale_factor=scale, keep_ratio=True)] for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)]),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.0),
    dict(type='PackSegInputs')
]
data = dict(data_root='data/rooms_sunrgbd')
# These images have one size.
test = dict(batch_size=20, num_workers=1, dataset=data)
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(num_samples=128, pipeline=train_pipeline, **data))
val_dataloader = test
test_dataloader = test
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=8, by_epoch=True, convert_to_iter_based=True)
]
# Tested when it ends: no epoch is chosen.
train_cfg = dict(max_epochs=8, val_begin=8, val_interval=8)
default_hooks = dict(checkpoint=dict(interval=8, save_best=None))
