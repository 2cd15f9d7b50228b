# DeCUR on GeoNRW with contrast of samples and a linear projector, the recipe of docs/better.md.
_base_ = './geonrw_rgb-dem_r50_decur.py'
model = dict(neck=dict(num_layers=1), head=dict(extra=[dict(type='SampleContrastTerm')]))
