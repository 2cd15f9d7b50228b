# FCN on generated RGB and elevation from 96 labelled images, encoders frozen: the published protocol, shorter.
_base_ = '../fcn/geonrw_rgb-dem_r50_frozen.py'
encoder = dict(_delete_=True, type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
modalities = dict(rgb=dict(encoder=encoder), dem=dict(encoder=encoder))
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        data_root='data/landcover/geonrw',
        tile=None,
        num_samples=96,
        pipeline=[
            dict(type='LoadModalities'),
            dict(type='LoadLabelMap'),
            dict(type='ConcatModalities'),
            dict(type='RandomResizedCropSeg', size=96, scale=(0.2, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs')
        ]))
test_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(data_root='data/landcover/geonrw', tile=None))
# The head learns from scratch in a tenth of the published steps.
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
default_hooks = dict(checkpoint=dict(interval=30))
