# The all-MLP head of SegFormer (mmseg) on the stages of several modalities.
_base_ = '../landcover/landcover_rgb-dem_small-resnet_frozen.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_index=(0, 1, 2, 3),
        channels=128,
        dropout_ratio=0.1,
        num_classes=10,
        align_corners=False,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
