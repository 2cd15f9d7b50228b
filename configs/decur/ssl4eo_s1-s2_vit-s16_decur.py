# ViT-S/16 (supplement Table 1); AdamW, as published. mmpretrain calls this size 'deit-small'; its 'small' is a wider network.
_base_ = './ssl4eo_s1-s2_r50_decur.py'
encoder = dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='deit-small', img_size=224, patch_size=16)
modalities = dict(sar=dict(encoder=encoder), optical=dict(encoder=encoder))
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01))
