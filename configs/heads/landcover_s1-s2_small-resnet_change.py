# Change between two dates: both go through one stream for each sensor, whose maps are subtracted. Encoders of a pretraining with the modalities
# sar and optical: model.backbone.pretrained.sar_before=CHECKPOINT::sar model.backbone.pretrained.optical_before=CHECKPOINT::optical.
_base_ = ['../_base_/small_transfer.py']
encoder = dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
sar = dict(channels=2, bands=('VV', 'VH'), mean=[-10.7, -17.6], std=[4.9, 5.4], encoder=encoder)
optical = dict(channels=4, bands=('B2', 'B3', 'B4', 'B8'), mean=[560.0, 800.0, 780.0, 2500.0], std=[480.0, 520.0, 640.0, 1100.0], encoder=encoder)
modalities = dict(
    sar_before=dict(files=dict(folder='s1_before', suffix='.tif'), **sar),
    sar_after=dict(files=dict(folder='s1_after', suffix='.tif'), **sar),
    optical_before=dict(files=dict(folder='s2_before', suffix='.tif'), **optical),
    optical_after=dict(files=dict(folder='s2_after', suffix='.tif'), **optical))
model = dict(
    backbone=dict(
        shared=dict(sar_after='sar_before', optical_after='optical_before'),
        fusion=dict(type='DifferenceFusion', pairs=(('sar_before', 'sar_after'), ('optical_before', 'optical_after')))),
    decode_head=dict(num_classes=2, in_index=(0, 1, 2, 3)))
data = dict(
    data_root='data/landcover/change',
    in_memory=True,
    label=dict(folder='change', suffix='.png'),
    metainfo=dict(classes=('same', 'changed'), palette=[[200, 190, 160], [220, 0, 0]]))
train_dataloader = dict(batch_size=8, dataset=dict(split='train.txt', **data))
test_dataloader = dict(batch_size=8, dataset=dict(split='test.txt', **data))
test_evaluator = dict(type='PerClassIoUMetric')
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=200, by_epoch=False)]
train_cfg = dict(max_iters=200)
default_hooks = dict(checkpoint=dict(interval=200))
