_base_ = './fcn_rooms_rgb_finetune.py'
model = dict(backbone=dict(frozen=True))
