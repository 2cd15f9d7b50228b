# Land cover of the sites' right 30 % from frozen encoders, trained on the rest; give the encoders with model.backbone.pretrained=CHECKPOINT.
_base_ = ['../_base_/small_transfer.py', '../_base_/modalities/sites.py']
data = dict(
    data_root='data/sites_s1_s2_dem',
    label=dict(folder='LULC', suffix='.tif'),
    metainfo=dict(
        classes=('water', 'trees', 'grass', 'flooded vegetation', 'crops', 'scrub', 'built', 'bare', 'other'),
        palette=[[65, 155, 223], [57, 125, 73], [136, 176, 83], [122, 135, 198], [228, 150, 53], [223, 195, 90], [196, 40, 27],
                 [165, 155, 143], [179, 159, 225]]),
    reduce_zero_label=True)
train_dataloader = dict(
    dataset=dict(tile=dict(tile_size=(64, 64), stride=(32, 32), blocks='train', test_share=0.3), **data))
test_dataloader = dict(
    batch_size=8, dataset=dict(tile=dict(tile_size=(64, 64), blocks='test', test_share=0.3, count_once=True), **data))
model = dict(
    backbone=dict(frozen=True),
    decode_head=dict(num_classes=9))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=300, by_epoch=False)]
train_cfg = dict(max_iters=300)
default_hooks = dict(checkpoint=dict(interval=300))
