# Batch 6. Published mIoU 56.0 single-scale, 56.3 multi-scale.
_base_ = './nyudv2_rgb-hha_mit-b2_finetune.py'
encoder = dict(arch='b4')
modalities = dict(rgb=dict(encoder=encoder), hha=dict(encoder=encoder))
train_dataloader = dict(batch_size=6)
