# Supplement Table 2, CBAM (there with 1 % of the labels: train_dataloader.dataset.fraction=0.01).
_base_ = './bigearthnet_s1_r50_frozen.py'
modalities = dict(sar=dict(attention={'2': dict(type='CBAM'), '3': dict(type='CBAM')}))
