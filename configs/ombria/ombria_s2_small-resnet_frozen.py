# Sentinel-2 alone.
_base_ = './ombria_s1-s2_small-resnet_frozen.py'
modalities = dict(sar=None)
