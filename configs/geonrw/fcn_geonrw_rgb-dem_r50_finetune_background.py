# Background as an eleventh class: it is learnt, and counts in the mIoU.
_base_ = './fcn_geonrw_rgb-dem_r50_finetune.py'
data = dict(dataset=dict(background=True))
train_dataloader = data
test_dataloader = data
model = dict(decode_head=dict(num_classes=11))
