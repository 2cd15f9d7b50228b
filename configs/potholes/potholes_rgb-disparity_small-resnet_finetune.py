# Potholes, encoders trained too; give the encoders with model.backbone.pretrained=CHECKPOINT. Frozen: model.backbone.frozen=True. RGB alone:
# modalities.disparity=None. All labels: train_dataloader.dataset.split=train.txt.
_base_ = ['../_base_/small_transfer.py', '../_base_/modalities/potholes.py']
data = dict(
    data_root='data/potholes',
    in_memory=True,
    label=dict(folder='label', suffix='.png'),
    metainfo=dict(classes=('road', 'pothole'), palette=[[128, 128, 128], [200, 40, 40]]))
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        split='few10_seed0.txt',
        pipeline=[
            dict(type='LoadModalities'),
            dict(type='LoadLabelMap'),
            dict(type='ConcatModalities'),
            dict(type='RandomCrop', crop_size=(128, 128)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs')
        ],
        **data))
test_dataloader = dict(dataset=dict(split='test.txt', **data))
test_evaluator = dict(type='PerClassIoUMetric')
model = dict(decode_head=dict(num_classes=2))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=80, by_epoch=False)]
train_cfg = dict(max_iters=80)
default_hooks = dict(checkpoint=dict(interval=80))
