_base_ = './fcn_rooms_rgb_finetune.py'
hha = dict(
    channels=3,
    files=dict(folder='hha', suffix='.png'),
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    encoder={{_base_.encoder}})
train_dataloader = dict(dataset=dict(modalities=dict(hha=hha)))
test_dataloader = dict(dataset=dict(modalities=dict(hha=hha)))
model = dict(
    data_preprocessor=dict(modalities=dict(hha=hha)),
    backbone=dict(modalities=dict(hha=hha)),
    decode_head=dict(in_channels=(96, 192, 384)))
