# The dates before and after a flood as two seasons: each view shows one of them, the same for both sensors; encoders of single dates.
_base_ = './ombria_s1-s2_small-resnet_decur.py'
modalities = dict(
    sar=dict(channels=1, bands=None, mean=[133.85], std=[50.74]),
    optical=dict(channels=3, bands=None, mean=[57.86, 65.25, 33.42], std=[35.91, 30.48, 24.47]))
train_dataloader = dict(
    dataset=dict(
        dates=2,
        pipeline=[
            dict(type='DrawSeasons', mode='paired'),
            dict(type='LoadModalities'),
            dict(type='MakeViews', aligned=True),
            dict(type='PackModalities')
        ]))
