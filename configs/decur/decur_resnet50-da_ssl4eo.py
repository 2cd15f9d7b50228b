# Supplement Table 2, DA: deformable attention without the residual connection.
_base_ = './decur_resnet50-rda_ssl4eo.py'
stream = dict(attention={'2': dict(type='DA'), '3': dict(type='DA')})
model = dict(backbone=dict(modalities=dict(sar=stream, optical=stream)))
