# Off-diagonals of the unique terms weigh more: does a shared factor hide there at another index of the other modality?
_base_ = './decur_shapes.py'
model = dict(head=dict(lambd=dict(_delete_=True, intra=0.0051, common=0.0051, unique=0.1)))
