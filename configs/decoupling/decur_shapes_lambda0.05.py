# Another weight of the off-diagonal terms.
_base_ = './decur_shapes.py'
model = dict(head=dict(lambd=0.05))
