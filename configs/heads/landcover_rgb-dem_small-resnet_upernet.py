# UPerNet of mmseg on the stages of several modalities. Any head of mmseg takes them: in_channels follow from the modalities.
_base_ = './landcover_rgb-dem_small-resnet_segformer.py'
model = dict(decode_head=dict(type='UPerHead', pool_scales=(1, 2, 3, 6), channels=64))
