_base_ = './bigearthnet_s1-s2_r50_finetune.py'
train_dataloader = dict(dataset=dict(fraction=0.01))
