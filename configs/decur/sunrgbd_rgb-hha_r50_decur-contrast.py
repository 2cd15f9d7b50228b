# DeCUR on SUN-RGBD with contrast of samples and a linear projector, the recipe of docs/better.md.
_base_ = './sunrgbd_rgb-hha_r50_decur.py'
model = dict(neck=dict(num_layers=1), head=dict(extra=[dict(type='SampleContrastTerm')]))
