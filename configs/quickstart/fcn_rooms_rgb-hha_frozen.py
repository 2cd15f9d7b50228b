_base_ = './fcn_rooms_rgb-hha_finetune.py'
model = dict(backbone=dict(frozen=True))
