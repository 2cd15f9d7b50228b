# Sentinel-1 RTC (VV, VH in dB), Sentinel-2 L1C (13 bands, offset removed where a tile has it) and elevation, all at 10 m on one grid.
modalities = dict(
    sar=dict(
        channels=2,
        bands=('VV', 'VH'),
        files=dict(folder='S1RTC', suffix='.tif'),
        mean=[-12.55, -18.74],
        std=[5.26, 5.91],
        augmentation=dict(type='ViewAugmentation', size=48, value_range=(-50.0, 20.0), jitter_prob=0.0, grayscale_prob=0.2, blur_prob=0.5),
        encoder=dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))),
    optical=dict(
        channels=13,
        bands=('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12'),
        files=dict(folder='S2L1C', suffix='.tif'),
        reader=dict(type='RasterioReader', dtype='float32'),
        # Processing baseline 04.00 and later adds 1000 to every band; band 10 gives it away.
        radiometry=[dict(type='RemoveOffset')],
        mean=[
            1605.58, 1390.78, 1314.87, 1363.52, 1549.44, 2091.75, 2371.72, 2299.90, 2560.30, 830.07, 22.10, 2177.07, 1524.06
        ],
        std=[786.79, 850.35, 875.06, 1138.85, 1122.18, 1161.59, 1274.39, 1248.43, 1345.53, 577.32, 51.15, 1336.10, 1136.54],
        augmentation=dict(type='ViewAugmentation', size=48, value_range=(0.0, 10000.0), solarize_prob=0.2),
        encoder=dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))))
