# Supplement Table 2, CBAM in the places of RDA.
_base_ = './decur_resnet50-rda_ssl4eo.py'
stream = dict(attention={'2': dict(_delete_=True, type='CBAM'), '3': dict(_delete_=True, type='CBAM')})
model = dict(backbone=dict(modalities=dict(sar=stream, optical=stream)))
