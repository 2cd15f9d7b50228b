# Cross-modal SimCLR on SUN-RGBD with ResNet50: the same encoders, data and schedule as DeCUR, another objective and projector.
_base_ = '../decur/sunrgbd_rgb-hha_r50_decur.py'
model = dict(
    neck=dict(hid_channels=512, out_channels=128, num_layers=2),
    head=dict(_delete_=True, type='MultimodalSimCLRHead', temperature=0.1))
