# Flood mapping on OMBRIA, encoders trained too; give the encoders with model.backbone.pretrained=CHECKPOINT. Fewer labels:
# train_dataloader.dataset.split=scene_few32_seed0.txt; other floods: test_dataloader.dataset.split=event2021.txt.
_base_ = ['../_base_/small_transfer.py', '../_base_/modalities/ombria.py']
data = dict(
    data_root='data/ombria',
    in_memory=True,
    label=dict(folder='label', suffix='.png'),
    metainfo=dict(classes=('dry', 'flood'), palette=[[200, 190, 160], [0, 90, 200]]))
train_dataloader = dict(batch_size=8, dataset=dict(split='scene_train.txt', **data))
test_dataloader = dict(batch_size=8, dataset=dict(split='scene_test.txt', **data))
test_evaluator = dict(type='PerClassIoUMetric')
model = dict(decode_head=dict(num_classes=2))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=200, by_epoch=False)]
train_cfg = dict(max_iters=200)
default_hooks = dict(checkpoint=dict(interval=200))
