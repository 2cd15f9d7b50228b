# CMX with two MiT-B2 on NYU-Depth v2, 40 classes: batch 8, 500 epochs. Published mIoU 54.1 single-scale, 54.4 multi-scale.
# Encoders from ImageNet (SegFormer's mit_b2.pth, for both streams) or from DeCUR: --cfg-options model.backbone.pretrained=FILE
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/rgb_hha_mit.py', '../_base_/models/cmx.py', '../_base_/datasets/cmx_rgbd.py',
    '../_base_/schedules/cmx_adamw.py'
]
crop_size = (480, 640)
model = dict(
    data_preprocessor=dict(size=crop_size, test_cfg=dict(size=crop_size)),
    decode_head=dict(num_classes=40),
    test_cfg=dict(crop_size=crop_size, stride=(320, 427)))
data = dict(type='NYUv2Dataset', data_root='data/nyudv2')
train_dataloader = dict(batch_size=8, dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
default_hooks = dict(checkpoint=dict(interval=25, save_best='mIoU'))
