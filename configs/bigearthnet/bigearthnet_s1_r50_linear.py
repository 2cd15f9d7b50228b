_base_ = './bigearthnet_s1-s2_r50_linear.py'
model = dict(backbone=dict(modalities=dict(optical=None)))
train_dataloader = dict(dataset=dict(modalities=dict(optical=None)))
test_dataloader = dict(dataset=dict(modalities=dict(optical=None)))
