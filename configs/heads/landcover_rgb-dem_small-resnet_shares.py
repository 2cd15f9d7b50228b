# Numbers for a whole image: the share of each class, that of its label map; encoders frozen.
_base_ = './landcover_rgb-dem_small-resnet_scene.py'
model = dict(head=dict(task='regression'))
train_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='LoadModalities'),
        dict(type='LoadLabelMap'),
        dict(type='SceneTarget', kind='shares'),
        dict(type='MakeViews', aligned=True, num_views=1),
        dict(type='PackModalities')
    ]))
test_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='LoadModalities'),
        dict(type='LoadLabelMap'),
        dict(type='SceneTarget', kind='shares'),
        dict(type='CenterView'),
        dict(type='PackModalities')
    ]))
test_evaluator = dict(_delete_=True, type='RegressionErrors')
