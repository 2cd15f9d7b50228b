# FCN-ResNet50 on the RGB images of SUN-RGBD, 37 classes (supplement B.2): batch 8, 40k iterations.
_base_ = './nyudv2_rgb_r50_finetune.py'
model = dict(decode_head=dict(num_classes=37), auxiliary_head=dict(num_classes=37))
data = dict(type='SUNRGBDDataset', data_root='data/sunrgbd')
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
