# Road surfaces (tools/prepare_dataset.py potholes): RGB, and disparity after a flat road was made level; statistics of train.txt.
encoder = dict(type='SmallResNet', stem_channels=12, base_channels=12, strides=(2, 2, 2, 2))
modalities = dict(
    rgb=dict(
        channels=3,
        bands=('R', 'G', 'B'),
        files=dict(folder='rgb', suffix='.png'),
        mean=[138.04, 137.49, 137.57],
        std=[23.44, 22.78, 19.59],
        # Views of about the scale of the pictures: boxes of 33 to 88 pixels.
        augmentation=dict(type='ViewAugmentation', size=32, scale=(0.01, 0.07), solarize_prob=0.0),
        encoder=encoder),
    disparity=dict(
        channels=1,
        files=dict(folder='disparity', suffix='.png'),
        reader=dict(type='PillowReader', missing=0),
        # How far the road is from the camera says nothing; what lies deeper than the rest of the picture does.
        radiometry=[dict(type='PercentilesToEightBit')],
        mean=[191.87],
        std=[46.25],
        augmentation=dict(type='ViewAugmentation', size=32, scale=(0.01, 0.07), jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0),
        encoder=encoder))
