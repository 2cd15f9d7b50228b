# Supplement Table 2, CBAM in the places of RDA.
_base_ = './ssl4eo_s1-s2_r50-rda_decur.py'
stream = dict(attention={'2': dict(_delete_=True, type='CBAM'), '3': dict(_delete_=True, type='CBAM')})
modalities = dict(sar=stream, optical=stream)
