# Sentinel-1 alone.
_base_ = './bigearthnet_s1-s2_r50_frozen.py'
modalities = dict(optical=None)
