# Late fusion on BigEarthNet-MM, encoders frozen. Give the encoders by --cfg-options model.backbone.pretrained=CHECKPOINT.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/bigearthnet.py', '../_base_/datasets/bigearthnet.py',
    '../_base_/schedules/sgd_multilabel_100e.py'
]
model = dict(
    type='MultimodalClassifier',
    backbone=dict(type='MultimodalBackbone', modalities={{_base_.modalities}}, pretrained=None, frozen=True),
    head=dict(type='LateFusionHead', num_classes=19))
train_dataloader = dict(dataset=dict(modalities={{_base_.modalities}}))
test_dataloader = dict(dataset=dict(modalities={{_base_.modalities}}))
