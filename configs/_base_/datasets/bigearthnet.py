# BigEarthNet-MM, multi-label. Lists of patches lie in data_root: train.csv and test.csv of the split that is used (v1; the official and
# SeCo/DeCUR ones differ), or split='train' and 'test' (v2).
default_scope = 'mmpretrain'
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='EpochSampler'),
    collate_fn=dict(type='multimodal_collate'),
    dataset=dict(
        type='BigEarthNetDataset',
        data_root='data/bigearthnet',
        split='train.csv',
        pipeline=[
            dict(type='LoadModalities'),
            dict(type='MakeViews', aligned=True, num_views=1),
            dict(type='PackModalities')
        ]))
test_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='multimodal_collate'),
    dataset=dict(
        type='BigEarthNetDataset',
        data_root='data/bigearthnet',
        split='test.csv',
        pipeline=[dict(type='LoadModalities'), dict(type='CenterView'), dict(type='PackModalities')]))
test_evaluator = dict(type='MultiLabelScores')
test_cfg = dict(type='TestLoop')
