# RGB and HHA for segmentation, each with a MiT-B2; the data set class knows where the files are.
# Both are 8-bit images normalised with ImageNet's statistics, as published.
modalities = dict(
    rgb=dict(
        channels=3,
        bands=('R', 'G', 'B'),
        reader=dict(type='PillowReader', mode='RGB'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        encoder=dict(type='DecurMixVisionTransformer', arch='b2', drop_path_rate=0.1)),
    hha=dict(
        channels=3,
        bands=('disparity', 'height', 'angle'),
        reader=dict(type='PillowReader', mode='RGB'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        encoder=dict(type='DecurMixVisionTransformer', arch='b2', drop_path_rate=0.1)))
