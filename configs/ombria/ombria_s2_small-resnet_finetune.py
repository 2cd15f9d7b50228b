# Sentinel-2 alone.
_base_ = './ombria_s1-s2_small-resnet_finetune.py'
modalities = dict(sar=None)
