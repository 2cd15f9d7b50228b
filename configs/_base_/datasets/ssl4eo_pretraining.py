# SSL4EO-S12: every modality draws a season for each of its two views, as published (mode='paired': one season for both modalities).
_base_ = './paired_pretraining.py'
train_dataloader = dict(
    dataset=dict(
        type='SSL4EODataset',
        pipeline=[
            dict(type='DrawSeasons', mode='independent'),
            dict(type='LoadModalities'),
            dict(type='MakeViews', aligned=False),
            dict(type='PackModalities')
        ]))
