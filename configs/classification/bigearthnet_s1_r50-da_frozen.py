# Supplement Table 2, DA: deformable attention without the residual connection (there with 1 % of the labels:
# train_dataloader.dataset.fraction=0.01).
_base_ = './bigearthnet_s1_r50-rda_frozen.py'
modalities = dict(sar=dict(attention={'2': dict(type='DA'), '3': dict(type='DA')}))
