# RGB alone.
_base_ = './geonrw_rgb-dem_r50_frozen.py'
modalities = dict(dem=None)
model = dict(decode_head=dict(in_channels=(512, 1024, 2048)))
