# RGB alone, trained as CMX is: the same encoder and decoder without the second stream and what lies between the two.
_base_ = './rooms_rgb-hha_cmx-mit-b0_finetune.py'
modalities = dict(hha=None)
model = dict(backbone=dict(interactions=None, fusion=dict(_delete_=True, type='ConcatFusion')))
