# UPerNet of mmseg on the stages of several modalities. Any head of mmseg takes them: in_channels follow from the modalities.
_base_ = '../landcover/landcover_rgb-dem_small-resnet_frozen.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='UPerHead',
        in_index=(0, 1, 2, 3),
        pool_scales=(1, 2, 3, 6),
        channels=64,
        dropout_ratio=0.1,
        num_classes=10,
        align_corners=False,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
