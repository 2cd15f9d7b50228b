# For the published CMX weights (tools/convert_checkpoint.py): images in OpenCV's channel order with RGB's statistics, and, when training
# on, the constant stochastic depth that the published code has in the second stage.
_base_ = './nyudv2_rgb-hha_mit-b4_finetune.py'
modalities = dict(
    rgb=dict(channel_order='bgr', encoder=dict(stage_drop_path={'1': 0.0075})),
    hha=dict(channel_order='bgr', encoder=dict(stage_drop_path={'1': 0.01})))
