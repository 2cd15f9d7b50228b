# Aerial RGB and elevation, the latter as three equal channels so that the encoders are alike (supplement B.1, RGB-DEM); both 8 bit, seen
# as 0..1. The ResNets start from ImageNet weights.
imagenet = dict(type='Pretrained', checkpoint='torchvision://resnet50')
modalities = dict(
    rgb=dict(
        channels=3,
        bands=('R', 'G', 'B'),
        meta=dict(data='GeoNRW', licence='of its authors: doi.org/10.21227/s5xq-b822'),
        files=dict(raster='rgb'),
        mean=[0.0],
        std=[255.0],
        augmentation=dict(
            type='ViewAugmentation', size=224, scale=(0.2, 1.0), brightness=0.4, contrast=0.4, jitter_prob=0.8, grayscale_prob=0.2,
            blur_prob=0.5, solarize_prob=0.2),
        encoder=dict(type='mmpretrain.ResNet', depth=50, zero_init_residual=True, init_cfg=imagenet)),
    dem=dict(
        channels=3,
        bands=('DEM', 'DEM', 'DEM'),
        meta=dict(data='GeoNRW', licence='of its authors: doi.org/10.21227/s5xq-b822'),
        files=dict(raster='dem'),
        reader=dict(type='RasterioReader', bands=[1, 1, 1]),
        radiometry=[dict(type='PercentilesToEightBit')],
        mean=[0.0],
        std=[255.0],
        augmentation=dict(type='ViewAugmentation', size=224, scale=(0.2, 1.0), jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0),
        encoder=dict(type='mmpretrain.ResNet', depth=50, zero_init_residual=True, init_cfg=imagenet)))
