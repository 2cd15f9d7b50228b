# Sentinel-1 alone.
_base_ = './ombria_s1-s2_small-resnet_finetune.py'
modalities = dict(optical=None)
model = dict(decode_head=dict(in_channels=(48, 96, 192)))
