# DeCUR on SUN-RGBD with MiT-B5.
_base_ = './decur_sunrgbd.py'
encoder = dict(
    arch='b5',
    init_cfg=dict(checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b5_20220624-658746d9.pth'))
modalities = dict(rgb=dict(encoder=encoder), hha=dict(encoder=encoder))
