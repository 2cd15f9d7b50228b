_base_ = './bigearthnet_s1-s2_r50-rda_finetune.py'
train_dataloader = dict(dataset=dict(fraction=0.1))
