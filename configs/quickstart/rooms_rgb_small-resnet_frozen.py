# The encoders are frozen: the decoder alone is trained.
_base_ = './rooms_rgb_small-resnet_finetune.py'
model = dict(backbone=dict(frozen=True))
