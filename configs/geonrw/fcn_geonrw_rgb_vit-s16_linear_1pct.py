# Supplement Table 1, ViT-S/16.
_base_ = './fcn_geonrw_rgb_r50_linear_1pct.py'
encoder = dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16)
# Tiles of 250 pixels are padded to a multiple of the patch.
model = dict(
    data_preprocessor=dict(size_divisor=16, test_cfg=dict(size_divisor=16)),
    backbone=dict(modalities=dict(rgb=dict(encoder=encoder))),
    decode_head=dict(in_channels=(384, 384, 384)))
