# RGB and HHA.
_base_ = './rooms_rgb_small-resnet_finetune.py'
modalities = dict(
    hha=dict(
        channels=3,
        files=dict(folder='hha', suffix='.png'),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        encoder={{_base_.encoder}}))
