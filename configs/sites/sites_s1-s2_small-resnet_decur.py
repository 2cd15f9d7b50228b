# DeCUR on a few sites of Sentinel-1 and Sentinel-2: windows of 64x64 pixels, cut while reading from the left three quarters of every site.
_base_ = ['../_base_/small_pretraining.py', '../_base_/modalities/sites.py']
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        data_root='data/sites_s1_s2_dem',
        tile=dict(tile_size=(64, 64), stride=(16, 16), blocks='train', test_share=0.3)))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=20, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=20)
