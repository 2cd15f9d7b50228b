# Supplement Table 2, DA: deformable attention without the residual connection.
_base_ = './geonrw_rgb-dem_r50-rda_decur.py'
stream = dict(attention={'2': dict(type='DA'), '3': dict(type='DA')})
modalities = dict(rgb=stream, dem=stream)
