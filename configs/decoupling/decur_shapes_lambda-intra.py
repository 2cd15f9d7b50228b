# Weaker decorrelation within modalities: it is what asks unique dimensions for more functions than private factors offer.
_base_ = './decur_shapes.py'
model = dict(head=dict(lambd=dict(_delete_=True, intra=0.0005, common=0.0051, unique=0.0051)))
