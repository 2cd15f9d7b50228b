_base_ = './bigearthnet_s1-s2_r50_linear.py'
model = dict(backbone=dict(modalities=dict(sar=None)))
train_dataloader = dict(dataset=dict(modalities=dict(sar=None)))
test_dataloader = dict(dataset=dict(modalities=dict(sar=None)))
