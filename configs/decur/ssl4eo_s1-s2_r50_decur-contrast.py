# DeCUR on SSL4EO-S12 with contrast of samples and a linear projector, the recipe of docs/better.md.
_base_ = './ssl4eo_s1-s2_r50_decur.py'
model = dict(neck=dict(num_layers=1), head=dict(extra=[dict(type='SampleContrastTerm')]))
