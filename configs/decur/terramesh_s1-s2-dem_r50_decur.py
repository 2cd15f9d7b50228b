# DeCUR on TerraMesh with three modalities and one date. Locations of SSL4EO-S12 have no S1RTC: they train the other two. About half of the
# L1C images carry the offset of processing baseline 04.00, which is taken off where band 10 shows it.
_base_ = './ssl4eo-v11-shards_s1-s2_r50_decur.py'
meta = dict(data='TerraMesh', licence='CC-BY-SA-4.0')
modalities = dict(
    sar=dict(
        meta=meta,
        files=dict(product='S1RTC'),
        reader=dict(missing=float('nan')),
        radiometry=[dict(type='CutOutliers'), dict(type='ToEightBit', statistics='terramesh_s1rtc')]),
    optical=dict(meta=meta, radiometry=[dict(type='RemoveOffset'), dict(type='ToEightBit', statistics='ssl4eo_v11_shards_s2c')]),
    dem=dict(
        channels=1,
        bands=('DEM', ),
        meta=meta,
        files=dict(product='DEM'),
        reader=dict(type='BandReader', bands=('DEM', ), size=264, missing=float('nan')),
        radiometry=[dict(type='PercentilesToEightBit')],
        mean=[0.0],
        std=[255.0],
        augmentation=dict(type='ViewAugmentation', size=224, jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0),
        encoder=dict(type='mmpretrain.ResNet', depth=50)))
train_dataloader = dict(dataset=dict(data_root='data/terramesh'))
