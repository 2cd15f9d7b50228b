# RGB and HHA (disparity, height above ground, angle with gravity), both 8-bit images of three channels.
# Augmentations: supplement B.1; crop scale as in the published SUN-RGBD run. The ResNets start from ImageNet weights.
imagenet = dict(type='Pretrained', checkpoint='torchvision://resnet50')
modalities = dict(
    rgb=dict(
        channels=3,
        bands=('R', 'G', 'B'),
        meta=dict(data='SUN RGB-D', licence='of its authors: rgbd.cs.princeton.edu'),
        files=dict(folder='rgb', suffix=('.jpg', '.png')),
        reader=dict(type='PillowReader', mode='RGB'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        augmentation=dict(
            type='ViewAugmentation', size=224, scale=(0.5, 1.0), vflip_prob=0.0,
            brightness=0.4, contrast=0.4, jitter_prob=0.8, grayscale_prob=0.2, blur_prob=(1.0, 0.1), solarize_prob=(0.0, 0.2)),
        encoder=dict(type='mmpretrain.ResNet', depth=50, zero_init_residual=True, init_cfg=imagenet)),
    hha=dict(
        channels=3,
        bands=('disparity', 'height', 'angle'),
        meta=dict(data='SUN RGB-D', licence='of its authors: rgbd.cs.princeton.edu'),
        files=dict(folder='hha', suffix='.png'),
        reader=dict(type='PillowReader', mode='RGB'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        augmentation=dict(
            type='ViewAugmentation', size=224, scale=(0.5, 1.0), vflip_prob=0.0, jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0),
        encoder=dict(type='mmpretrain.ResNet', depth=50, zero_init_residual=True, init_cfg=imagenet)))
