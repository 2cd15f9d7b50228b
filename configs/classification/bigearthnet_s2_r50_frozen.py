# Sentinel-2 alone.
_base_ = './bigearthnet_s1-s2_r50_frozen.py'
modalities = dict(sar=None)
