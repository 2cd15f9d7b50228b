# Sentinel-1 (VV, VH) and Sentinel-2 L2A, 12 bands and an empty one for networks of 13, both 8 bit, seen as 0..1 (supplement B.2).
# The augmentation is that of training; it is shared by the modalities. The published code flips vertically too (vflip_prob=0.5).
crop = dict(
    type='ViewAugmentation', size=224, scale=(0.8, 1.0), jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0, hflip_prob=0.5,
    vflip_prob=0.0)
modalities = dict(
    sar=dict(
        channels=2,
        bands=('VV', 'VH'),
        files=dict(sensor='s1'),
        reader=dict(type='BandReader', bands=('VV', 'VH'), size=120),
        radiometry=[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='bigearthnet_s1')],
        mean=[0.0],
        std=[255.0],
        augmentation=crop,
        encoder=dict(type='mmpretrain.ResNet', depth=50)),
    optical=dict(
        channels=13,
        bands=('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12'),
        files=dict(sensor='s2'),
        reader=dict(
            type='BandReader', size=120,
            bands=('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B11', 'B12')),
        radiometry=[dict(type='ToEightBit', statistics='bigearthnet_s2'), dict(type='InsertEmptyBand')],
        mean=[0.0],
        std=[255.0],
        augmentation=crop,
        encoder=dict(type='mmpretrain.ResNet', depth=50)))
