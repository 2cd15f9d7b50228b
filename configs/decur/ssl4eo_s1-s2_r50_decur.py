# DeCUR on SSL4EO-S12 with ResNet50 (supplement B.1, SAR-optical): 8192-d embeddings, 7168 common dimensions, 4 x 64 samples, 100 epochs.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/sar_optical.py', '../_base_/datasets/paired_pretraining.py',
    '../_base_/models/decur.py', '../_base_/schedules/lars_100e.py'
]
model = dict(head=dict(common_dim=7168))
# Every modality draws a season for each of its two views, as published (mode='paired': one season for both modalities).
train_dataloader = dict(
    dataset=dict(
        type='SSL4EODataset',
        data_root='data/ssl4eo',
        pipeline=[
            dict(type='DrawSeasons', mode='independent'),
            dict(type='LoadModalities'),
            dict(type='MakeViews', aligned=False),
            dict(type='PackModalities')
        ]))
auto_scale_lr = dict(enable=False, base_batch_size=256)
