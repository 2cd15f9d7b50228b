# Elevation as a third modality.
_base_ = './sites_s1-s2_small-resnet_decur.py'
modalities = dict(
    dem=dict(
        channels=1,
        files=dict(folder='DEM', suffix='.tif'),
        reader=dict(type='RasterioReader', dtype='float32'),
        mean=[280.0],
        std=[480.0],
        augmentation=dict(type='ViewAugmentation', size=48, value_range=(-500.0, 9000.0), jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0),
        encoder=dict(type='SmallResNet', stem_channels=24, base_channels=24, strides=(2, 2, 2, 2))))
