# Batch 6. Published mIoU 56.0 single-scale, 56.3 multi-scale.
_base_ = './cmx_mit-b2_nyudv2-480x640.py'
encoder = dict(arch='b4')
model = dict(backbone=dict(modalities=dict(rgb=dict(encoder=encoder), hha=dict(encoder=encoder))))
train_dataloader = dict(batch_size=6)
