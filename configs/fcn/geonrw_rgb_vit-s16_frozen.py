# Supplement Table 1, ViT-S/16 (there with 1 % of the labels: train_dataloader.dataset.fraction=0.01).
_base_ = './geonrw_rgb_r50_frozen.py'
encoder = dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16)
modalities = dict(rgb=dict(encoder=encoder))
# Tiles of 250 pixels are padded to a multiple of the patch.
model = dict(data_preprocessor=dict(size_divisor=16, test_cfg=dict(size_divisor=16)))
