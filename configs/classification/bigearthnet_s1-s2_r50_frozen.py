# Late fusion on BigEarthNet-MM, encoders frozen. Give the encoders by --cfg-options model.backbone.pretrained=CHECKPOINT.
# Fewer labels: train_dataloader.dataset.fraction=0.01.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/bigearthnet.py', '../_base_/datasets/bigearthnet.py',
    '../_base_/schedules/sgd_multilabel_100e.py'
]
model = dict(
    type='MultimodalClassifier',
    backbone=dict(type='MultimodalBackbone', pretrained=None, frozen=True),
    head=dict(type='LateFusionHead', num_classes=19))
