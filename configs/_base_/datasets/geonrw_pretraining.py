# GeoNRW, training cities, tiles of 250 pixels.
_base_ = './paired_pretraining.py'
train_dataloader = dict(dataset=dict(type='GeoNRWDataset', split='train', label=False))
