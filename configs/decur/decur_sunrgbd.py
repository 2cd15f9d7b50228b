# DeCUR on SUN-RGBD with MiT-B2, the encoder of CMX (supplement B.1, RGB-depth): SegFormer's ImageNet weights to start from, a linear layer to
# 2048 before the projector as in the published models, AdamW. Weight decay: the published script's default.
_base_ = './sunrgbd_rgb-hha_r50_decur.py'
encoder = dict(
    _delete_=True,
    type='DecurMixVisionTransformer',
    arch='b2',
    drop_path_rate=0.1,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b2_20220624-66e8bf70.pth'))
stream = dict(encoder=encoder, feature_channels=2048)
modalities = dict(rgb=stream, hha=stream)
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4))
