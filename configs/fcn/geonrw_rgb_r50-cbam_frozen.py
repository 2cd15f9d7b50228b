# Supplement Table 2, CBAM (there with 1 % of the labels: train_dataloader.dataset.fraction=0.01).
_base_ = './geonrw_rgb_r50_frozen.py'
modalities = dict(rgb=dict(attention={'2': dict(type='CBAM'), '3': dict(type='CBAM')}))
