# Barlow Twins over all pairs of three modalities.
_base_ = './decur_shapes3.py'
model = dict(head=dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051, statistics=False))
