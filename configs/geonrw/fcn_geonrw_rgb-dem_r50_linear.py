# FCN on GeoNRW, RGB and elevation, encoders frozen. Give them by --cfg-options model.backbone.pretrained=CHECKPOINT.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/rgb_dem.py', '../_base_/datasets/geonrw.py',
    '../_base_/models/fcn_multi_level.py', '../_base_/schedules/adamw_30e.py'
]
model = dict(
    data_preprocessor=dict(modalities={{_base_.modalities}}),
    backbone=dict(modalities={{_base_.modalities}}, frozen=True),
    decode_head=dict(num_classes=10, in_channels=(1024, 2048, 4096)))
train_dataloader = dict(dataset=dict(modalities={{_base_.modalities}}))
test_dataloader = dict(dataset=dict(modalities={{_base_.modalities}}))
