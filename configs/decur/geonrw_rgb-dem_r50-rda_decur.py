# Residual deformable attention after the last two stages of both encoders (supplement B.1); AdamW, as published.
_base_ = ['./geonrw_rgb-dem_r50_decur.py', '../_base_/attention/rda.py']
stream = dict(attention={{_base_.attention}})
modalities = dict(rgb=stream, dem=stream)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01))
