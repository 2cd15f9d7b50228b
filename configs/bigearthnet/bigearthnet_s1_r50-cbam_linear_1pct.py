# Supplement Table 2, CBAM.
_base_ = './bigearthnet_s1_r50_linear_1pct.py'
stream = dict(attention={'2': dict(type='CBAM'), '3': dict(type='CBAM')})
model = dict(backbone=dict(modalities=dict(sar=stream)))
