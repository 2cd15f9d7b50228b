# CMX (arXiv 2203.04838): after every stage the two streams rectify each other, and a fusion of each stage goes to an all-MLP decoder.
# The leaf config gives the modalities, the number of classes and the crop.
rectification = dict(type='CMXRectification', lambda_c=0.5, lambda_s=0.5)
model = dict(
    type='MultimodalSegmentor',
    # Padding comes after normalisation, so it is zero; padded labels are ignored. As published, on all four sides.
    data_preprocessor=dict(type='MultimodalSegDataPreprocessor', pad_val=0, seg_pad_val=255, pad_around=True),
    backbone=dict(
        type='MultimodalBackbone',
        interactions={'0': rectification, '1': rectification, '2': rectification, '3': rectification},
        fusion=dict(type='CMXFusion', num_heads=(1, 2, 5, 8)),
        frozen=False),
    decode_head=dict(
        type='CMXHead',
        channels=512,
        dropout_ratio=0.1,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='slide'))
