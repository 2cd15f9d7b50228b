# Sentinel-1 alone.
_base_ = './ombria_s1-s2_small-resnet_frozen.py'
modalities = dict(optical=None)
