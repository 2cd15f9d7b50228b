# Residual deformable attention after the last two stages of both encoders (supplement B.1); AdamW, as published.
_base_ = ['./ssl4eo_s1-s2_r50_decur.py', '../_base_/attention/rda.py']
stream = dict(attention={{_base_.attention}})
modalities = dict(sar=stream, optical=stream)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01))
