# The paper's DeCUR encoders: ResNet50 with residual deformable attention after the last two stages (supplement B.1).
_base_ = ['./geonrw_rgb-dem_r50_frozen.py', '../_base_/attention/rda.py']
stream = dict(attention={{_base_.attention}})
modalities = dict(rgb=stream, dem=stream)
