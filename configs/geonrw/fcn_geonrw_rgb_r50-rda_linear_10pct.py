_base_ = './fcn_geonrw_rgb_r50-rda_linear.py'
train_dataloader = dict(dataset=dict(fraction=0.1))
