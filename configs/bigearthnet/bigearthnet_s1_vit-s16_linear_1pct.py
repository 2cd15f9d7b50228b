# Supplement Table 1, ViT-S/16.
_base_ = './bigearthnet_s1_r50_linear_1pct.py'
encoder = dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16)
model = dict(backbone=dict(modalities=dict(sar=dict(encoder=encoder))))
