# DeCUR on GeoNRW with ResNet50 (supplement B.1, RGB-DEM): 8192-d embeddings, 6144 common dimensions, 4 x 64 samples, 100 epochs.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/modalities/rgb_dem.py', '../_base_/datasets/paired_pretraining.py',
    '../_base_/models/decur.py', '../_base_/schedules/lars_100e.py'
]
# The training cities, in tiles of 250 pixels.
train_dataloader = dict(dataset=dict(type='GeoNRWDataset', data_root='data/geonrw', split='train', label=False))
auto_scale_lr = dict(enable=False, base_batch_size=256)
