# Supplement Table 2, Cross DA: queries of one modality, keys and values of the other.
_base_ = './decur_resnet50-rda_geonrw.py'
stream = dict(attention=None)
model = dict(
    backbone=dict(
        modalities=dict(rgb=stream, dem=stream),
        interactions={
            '2': dict(type='CrossDA', num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14),
            '3': dict(type='CrossDA', num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)
        }))
