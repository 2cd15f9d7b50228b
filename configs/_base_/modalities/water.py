# Landsat and Sentinel-2 harmonized (surface reflectance x 10000) and Copernicus elevation, bands of one file; statistics of train.txt.
# Not read: quality flags, a second elevation, and two maps that others made of the same water (ESA WorldCover, water occurrence).
encoder = dict(type='SmallResNet', stem_channels=12, base_channels=12, strides=(2, 2, 2, 2))
modalities = dict(
    optical=dict(
        channels=7,
        bands=('coastal', 'blue', 'green', 'red', 'nir', 'swir1', 'swir2'),
        files=dict(folder='images', suffix='.tif'),
        reader=dict(type='RasterioReader', bands=[1, 2, 3, 4, 5, 6, 7]),
        mean=[429.3, 537.6, 880.4, 1048.0, 1937.6, 1931.0, 1369.3],
        std=[280.3, 334.8, 424.9, 554.6, 1067.7, 1242.7, 982.3],
        augmentation=dict(type='ViewAugmentation', size=32, scale=(0.06, 0.4), value_range=(0.0, 10000.0), grayscale_prob=0.0, solarize_prob=0.0),
        encoder=encoder),
    dem=dict(
        channels=1,
        files=dict(folder='images', suffix='.tif'),
        reader=dict(type='RasterioReader', bands=[10]),
        radiometry=[dict(type='PercentilesToEightBit')],
        mean=[86.47],
        std=[64.45],
        augmentation=dict(type='ViewAugmentation', size=32, scale=(0.06, 0.4), jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0),
        encoder=encoder))
