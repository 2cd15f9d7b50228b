# CMX with two MiT-B2 on SUN-RGBD, 37 classes: 4 images on each of 2 GPUs, 200 epochs. Published mIoU 49.7 multi-scale.
# Encoders from ImageNet (SegFormer's mit_b2.pth, for both streams) or from DeCUR: --cfg-options model.backbone.pretrained=FILE
_base_ = './nyudv2_rgb-hha_mit-b2_finetune.py'
crop_size = (480, 480)
model = dict(
    data_preprocessor=dict(size=crop_size, test_cfg=dict(size=crop_size)),
    decode_head=dict(num_classes=37),
    test_cfg=dict(crop_size=crop_size, stride=(320, 320)))
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
data = dict(type='SUNRGBDDataset', data_root='data/sunrgbd')
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=200, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=200, val_begin=100)
