_base_ = './fcn_geonrw_rgb-dem_r50-rda_finetune.py'
train_dataloader = dict(dataset=dict(fraction=0.01))
