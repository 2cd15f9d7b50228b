# 4 images on each of 8 GPUs, 300 epochs. Published mIoU 52.4 multi-scale.
_base_ = './sunrgbd_rgb-hha_mit-b2_finetune.py'
encoder = dict(arch='b5')
modalities = dict(rgb=dict(encoder=encoder), hha=dict(encoder=encoder))
param_scheduler = [
    {{_base_.warmup}},
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=300, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=300, val_begin=150)
