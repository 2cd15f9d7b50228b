# FCN with a dilated ResNet50 (output stride 8) and an auxiliary head, mmseg's fcn_r50-d8, on one modality's stream.
# The leaf config gives the modality and the number of classes.
model = dict(
    type='MultimodalSegmentor',
    data_preprocessor=dict(type='MultimodalSegDataPreprocessor', pad_val=0, seg_pad_val=255),
    backbone=dict(type='MultimodalBackbone', fusion=dict(type='ConcatFusion'), frozen=False),
    decode_head=dict(
        type='FCNHead',
        in_index=3,
        channels=512,
        num_convs=2,
        concat_input=True,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    auxiliary_head=dict(
        type='FCNHead',
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
