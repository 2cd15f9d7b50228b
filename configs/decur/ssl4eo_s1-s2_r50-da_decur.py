# Supplement Table 2, DA: deformable attention without the residual connection.
_base_ = './ssl4eo_s1-s2_r50-rda_decur.py'
stream = dict(attention={'2': dict(type='DA'), '3': dict(type='DA')})
modalities = dict(sar=stream, optical=stream)
