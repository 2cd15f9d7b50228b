# FCN on GeoNRW, RGB and elevation, encoders frozen. Give them by --cfg-options model.backbone.pretrained=CHECKPOINT.
# Fewer labels: train_dataloader.dataset.fraction=0.01. Background as an eleventh class, which is learnt and counts in the mIoU:
# train_dataloader.dataset.background=True test_dataloader.dataset.background=True model.decode_head.num_classes=11.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/rgb_dem.py', '../_base_/datasets/geonrw.py',
    '../_base_/models/fcn_multi_level.py'
]
model = dict(backbone=dict(frozen=True), decode_head=dict(num_classes=10))
# Supplement B.2, RGB-DEM: AdamW 1e-4, weight decay 0.01, 30 epochs.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01))
param_scheduler = []
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30)
