# One class for a whole image, that of most pixels; encoders frozen. Labels that the data set has itself (gt_label) need no SceneTarget.
_base_ = '../landcover/landcover_rgb-dem_small-resnet_frozen.py'
default_scope = 'mmpretrain'
augmentation = dict(type='ViewAugmentation', size=96, scale=(0.5, 1.0), jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0)
modalities = dict(rgb=dict(augmentation=dict(_delete_=True, **augmentation)), dem=dict(augmentation=dict(_delete_=True, **augmentation)))
model = dict(
    _delete_=True,
    type='MultimodalClassifier',
    backbone=dict(type='MultimodalBackbone', frozen=True),
    head=dict(type='LateFusionHead', task='single-label', num_classes=10))
train_dataloader = dict(
    collate_fn=dict(type='multimodal_collate'),
    dataset=dict(pipeline=[
        dict(type='LoadModalities'),
        dict(type='LoadLabelMap'),
        dict(type='SceneTarget', kind='majority'),
        dict(type='MakeViews', aligned=True, num_views=1),
        dict(type='PackModalities')
    ]))
test_dataloader = dict(
    collate_fn=dict(type='multimodal_collate'),
    dataset=dict(pipeline=[
        dict(type='LoadModalities'),
        dict(type='LoadLabelMap'),
        dict(type='SceneTarget', kind='majority'),
        dict(type='CenterView'),
        dict(type='PackModalities')
    ]))
test_evaluator = dict(_delete_=True, type='mmpretrain.Accuracy')
