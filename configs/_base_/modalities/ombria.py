# Floods of OMBRIA (tools/prepare_dataset.py ombria): dates before and after stacked; 8-bit values as released, statistics of scene_train.
encoder = dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))
augmentation = dict(type='ViewAugmentation', size=48, scale=(0.3, 1.0), value_range=(0.0, 255.0), grayscale_prob=0.0, solarize_prob=0.0)
modalities = dict(
    sar=dict(
        channels=2,
        bands=('before', 'after'),
        files=dict(folder='s1', suffix='.tif'),
        mean=[120.42, 147.27],
        std=[47.38, 50.43],
        augmentation=augmentation,
        encoder=encoder),
    optical=dict(
        channels=6,
        bands=('before_1', 'before_2', 'before_3', 'after_1', 'after_2', 'after_3'),
        files=dict(folder='s2', suffix='.tif'),
        mean=[73.96, 76.72, 32.66, 41.76, 53.77, 34.18],
        std=[31.51, 25.15, 20.81, 32.67, 31.02, 27.63],
        augmentation=augmentation,
        encoder=encoder))
