# Late fusion on BigEarthNet-MM, encoders frozen. Give the encoders by --cfg-options model.backbone.pretrained=CHECKPOINT.
# Fewer labels: train_dataloader.dataset.fraction=0.01.
_base_ = ['../_base_/default_runtime.py', '../_base_/modalities/bigearthnet.py', '../_base_/datasets/bigearthnet.py']
model = dict(
    type='MultimodalClassifier',
    backbone=dict(type='MultimodalBackbone', pretrained=None, frozen=True),
    head=dict(type='LateFusionHead', num_classes=19))
# Supplement B.2, SAR-optical: SGD, momentum 0.9, no weight decay, 100 epochs, a tenth at 60 and 80.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=0.0))
param_scheduler = [dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
