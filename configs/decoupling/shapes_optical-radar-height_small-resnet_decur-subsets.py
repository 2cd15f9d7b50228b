# Three modalities, and a block of dimensions for the pair that shares texture (docs/better.md).
_base_ = './shapes_optical-radar-height_small-resnet_decur.py'
model = dict(head=dict(_delete_=True, type='SubsetDeCURHead', blocks={'all': 128, ('optical', 'height'): 64}, lambd=0.0051, statistics=False))
