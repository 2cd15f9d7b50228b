# Three modalities: shape is shared by all, texture by a pair (and private to the third), colour and orientation are private.
_base_ = './shapes_optical-radar_small-resnet_decur.py'
modalities = dict(height=dict(channels=1, mean=[0.5], std=[0.25], augmentation={{_base_.views}}, encoder={{_base_.encoder}}))
factors = dict(
    shape=[('optical', 'radar', 'height')],
    texture=[('optical', 'height'), ('radar', )],
    colour=[('optical', ), ('radar', ), ('height', )],
    orientation=[('optical', ), ('radar', ), ('height', )])
data = dict(factors=factors, styles=dict(height='relief'))
train_dataloader = dict(dataset=data)
score_dataset = data
