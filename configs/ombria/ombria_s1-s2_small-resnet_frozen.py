# The same from frozen encoders.
_base_ = './ombria_s1-s2_small-resnet_finetune.py'
model = dict(backbone=dict(frozen=True))
