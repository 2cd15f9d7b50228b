# Supplement Table 2, Cross DA: queries of one modality, keys and values of the other.
_base_ = './geonrw_rgb-dem_r50-rda_decur.py'
stream = dict(attention=None)
modalities = dict(rgb=stream, dem=stream)
model = dict(
    backbone=dict(
        interactions={
            '2': dict(type='CrossDA', num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14),
            '3': dict(type='CrossDA', num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)
        }))
