# Another world of controlled factors: where the object is and its colour are shared, its shape and the texture of the ground are private.
# Pictures of 32x32 pixels. Made to judge changes of the method that were chosen on other worlds (docs/better.md).
_base_ = './shapes_optical-radar_small-resnet_decur.py'
views, encoder = {{_base_.views}}, {{_base_.encoder}}
modalities = dict(
    _delete_=True,
    camera=dict(channels=3, mean=[0.5], std=[0.25], augmentation=views, encoder=encoder),
    lidar=dict(channels=2, mean=[0.5], std=[0.25], augmentation=views, encoder=encoder))
data = dict(
    image_size=32,
    styles=dict(lidar='relief'),
    factors=dict(
        _delete_=True,
        position=[('camera', 'lidar')],
        colour=[('camera', 'lidar')],
        shape=[('camera', ), ('lidar', )],
        texture=[('camera', ), ('lidar', )]))
train_dataloader = dict(dataset=data)
score_dataset = data
