# Multi-label classification of generated patches of 96x96 pixels, encoders frozen: the published protocol, shorter.
_base_ = '../classification/bigearthnet_s1-s2_r50_frozen.py'
encoder = dict(_delete_=True, type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
stream = dict(encoder=encoder, reader=dict(size=96), augmentation=dict(size=64))
modalities = dict(sar=stream, optical=stream)
data = dict(data_root='data/landcover/bigearthnet')
train_dataloader = dict(batch_size=32, num_workers=1, dataset=data)
test_dataloader = dict(batch_size=64, num_workers=1, dataset=data)
param_scheduler = [dict(type='MultiStepLR', milestones=[12, 16], gamma=0.1, by_epoch=True)]
train_cfg = dict(max_epochs=20)
default_hooks = dict(checkpoint=dict(interval=20))
