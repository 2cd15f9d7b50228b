# DeCUR on SSL4EO-S12 with ResNet50 (supplement B.1, SAR-optical): 8192-d embeddings, 7168 common dimensions, 4 x 64 samples, 100 epochs.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/sar_optical.py', '../_base_/datasets/ssl4eo_pretraining.py',
    '../_base_/models/decur.py', '../_base_/schedules/lars_100e.py'
]
model = dict(head=dict(common_dim=7168))
train_dataloader = dict(dataset=dict(data_root='data/ssl4eo'))
auto_scale_lr = dict(enable=False, base_batch_size=256)
