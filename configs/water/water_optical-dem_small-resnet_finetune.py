# Water, encoders trained too; give the encoders with model.backbone.pretrained=CHECKPOINT. Frozen: model.backbone.frozen=True. Elevation
# alone: modalities.optical=None. All labels: train_dataloader.dataset.split=train.txt.
_base_ = ['../_base_/small_transfer.py', '../_base_/modalities/water.py']
data = dict(
    data_root='data/water',
    in_memory=True,
    label=dict(folder='labels', suffix='.png'),
    metainfo=dict(classes=('land', 'water'), palette=[[200, 190, 160], [0, 90, 200]]))
train_dataloader = dict(batch_size=8, dataset=dict(split='few32_seed0.txt', **data))
test_dataloader = dict(batch_size=8, dataset=dict(split='test.txt', **data))
test_evaluator = dict(type='PerClassIoUMetric')
model = dict(decode_head=dict(num_classes=2))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=80, by_epoch=False)]
train_cfg = dict(max_iters=80)
default_hooks = dict(checkpoint=dict(interval=80))
