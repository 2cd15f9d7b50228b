# FCN of supplement B.2: 1x1 convolutions on the last three maps of every modality's encoder, score maps added.
# The leaf config gives the modalities and the number of classes.
model = dict(
    type='MultimodalSegmentor',
    data_preprocessor=dict(type='MultimodalSegDataPreprocessor', seg_pad_val=255),
    backbone=dict(type='MultimodalBackbone', fusion=dict(type='ConcatFusion')),
    decode_head=dict(
        type='MultiLevelFCNHead',
        in_index=(1, 2, 3),
        dropout_ratio=0.0,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
