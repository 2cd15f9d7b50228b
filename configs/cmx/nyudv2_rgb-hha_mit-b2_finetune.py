# CMX with two MiT-B2 on NYU-Depth v2, 40 classes: batch 8, 500 epochs. Published mIoU 54.1 single-scale, 54.4 multi-scale.
# Encoders from ImageNet (SegFormer's mit_b2.pth, for both streams) or from DeCUR: --cfg-options model.backbone.pretrained=FILE
_base_ = ['../_base_/default_runtime.py', '../_base_/models/cmx.py', '../_base_/datasets/cmx_rgbd.py']
# Both are 8-bit images normalised with ImageNet's statistics, as published; the data set class knows where the files are.
image = dict(
    channels=3,
    reader=dict(type='PillowReader', mode='RGB'),
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    encoder=dict(type='DecurMixVisionTransformer', arch='b2', drop_path_rate=0.1))
modalities = dict(rgb=dict(bands=('R', 'G', 'B'), **image), hha=dict(bands=('disparity', 'height', 'angle'), **image))
crop_size = (480, 640)
model = dict(
    data_preprocessor=dict(size=crop_size, test_cfg=dict(size=crop_size)),
    decode_head=dict(num_classes=40),
    test_cfg=dict(crop_size=crop_size, stride=(320, 427)))
data = dict(type='NYUv2Dataset', data_root='data/nyudv2')
train_dataloader = dict(batch_size=8, dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
# AdamW with decay on weights only; warm-up over 10 epochs times a polynomial from iteration 0, both per iteration.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    # flat: every one-dimensional parameter, which includes the joint projections' biases inside attention.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0))
warmup = dict(type='LinearLR', start_factor=1e-6, begin=0, end=10, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [warmup, dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=500, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500, val_begin=250, val_interval=25)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# Batch norms of the fusion and the decoder see all processes' images.
sync_bn = 'torch'
default_hooks = dict(checkpoint=dict(interval=25, save_best='mIoU'))
