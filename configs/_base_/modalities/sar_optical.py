# Sentinel-1 (VV, VH) and Sentinel-2 L1C (13 bands), both brought to 8 bit, which the encoders see as 0..1 (supplement B.1, SAR-optical).
modalities = dict(
    sar=dict(
        channels=2,
        bands=('VV', 'VH'),
        meta=dict(data='SSL4EO-S12', licence='CC-BY-4.0'),
        files=dict(product='s1'),
        reader=dict(type='BandReader', bands=('VV', 'VH'), size=264),
        radiometry=[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='ssl4eo_s1')],
        mean=[0.0],
        std=[255.0],
        augmentation=dict(type='ViewAugmentation', size=224, scale=(0.2, 1.0), jitter_prob=0.0, grayscale_prob=0.2, blur_prob=0.5),
        encoder=dict(type='mmpretrain.ResNet', depth=50)),
    optical=dict(
        channels=13,
        bands=('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12'),
        meta=dict(data='SSL4EO-S12', licence='CC-BY-4.0'),
        files=dict(product='s2c'),
        reader=dict(
            type='BandReader', size=264,
            bands=('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12')),
        radiometry=[dict(type='ToEightBit', statistics='ssl4eo_s2c')],
        mean=[0.0],
        std=[255.0],
        augmentation=dict(
            type='ViewAugmentation', size=224, scale=(0.2, 1.0), brightness=0.4, contrast=0.4, jitter_prob=0.8, grayscale_prob=0.2,
            blur_prob=0.5, solarize_prob=0.2),
        encoder=dict(type='mmpretrain.ResNet', depth=50)))
