# FCN with an auxiliary head on RGB alone, trained as CMX is; the last stage keeps stride 16.
_base_ = './rooms_rgb_cmx-mit-b0_finetune.py'
modalities = dict(rgb=dict(encoder=dict(strides=(4, 2, 2, 1))))
model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_index=3,
        channels=64,
        num_convs=2,
        concat_input=True,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        num_classes=37,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    auxiliary_head=dict(
        type='FCNHead',
        in_index=2,
        channels=32,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        num_classes=37,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4)))
