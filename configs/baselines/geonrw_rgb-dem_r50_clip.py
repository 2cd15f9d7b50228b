# CLIP between modalities on GeoNRW with ResNet50: the same encoders, data and schedule as DeCUR, another objective and projector.
_base_ = '../decur/geonrw_rgb-dem_r50_decur.py'
model = dict(
    neck=dict(hid_channels=512, out_channels=128, num_layers=2),
    head=dict(_delete_=True, type='MultimodalCLIPHead', temperature=0.07))
