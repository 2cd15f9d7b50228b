_base_ = './bigearthnet_s2_r50-rda_linear.py'
train_dataloader = dict(dataset=dict(fraction=0.01))
