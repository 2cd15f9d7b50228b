_base_ = './decur_resnet50_sunrgbd.py'
