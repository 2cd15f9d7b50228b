# RGB alone, trained as CMX is: the same encoder and decoder without the second stream and what lies between the two.
_base_ = './cmx_mit-b0_rooms.py'
modalities = dict(hha=None)
model = dict(
    data_preprocessor=dict(modalities=modalities),
    backbone=dict(modalities=modalities, interactions=None, fusion=dict(_delete_=True, type='ConcatFusion')))
train_dataloader = dict(dataset=dict(modalities=modalities))
val_dataloader = dict(dataset=dict(modalities=modalities))
test_dataloader = dict(dataset=dict(modalities=modalities))
