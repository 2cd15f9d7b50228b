# CLIP over all pairs of three modalities.
_base_ = './decur_shapes3.py'
model = dict(head=dict(_delete_=True, type='MultimodalCLIPHead', statistics=False))
