# Supplement Table 1, ViT-S/16 (there with 1 % of the labels: train_dataloader.dataset.fraction=0.01).
_base_ = './bigearthnet_s1_r50_frozen.py'
encoder = dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16)
modalities = dict(sar=dict(encoder=encoder))
