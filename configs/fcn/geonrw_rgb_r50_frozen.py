# RGB alone.
_base_ = './geonrw_rgb-dem_r50_frozen.py'
modalities = dict(dem=None)
