# For the published CMX weights (tools/convert_checkpoint.py): images in OpenCV's channel order with RGB's statistics, and, when training
# on, the constant stochastic depth that the published code has in the second stage.
_base_ = './cmx_mit-b2_nyudv2-480x640.py'
bgr = dict(channel_order='bgr')
model = dict(
    data_preprocessor=dict(modalities=dict(rgb=bgr, hha=bgr)),
    backbone=dict(
        modalities=dict(rgb=dict(encoder=dict(stage_drop_path={'1': 0.02})), hha=dict(encoder=dict(stage_drop_path={'1': 0.026667})))))
