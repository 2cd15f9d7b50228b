# Sentinel-1 alone.
_base_ = './ombria_s1-s2_small-resnet_finetune.py'
modalities = dict(optical=None)
