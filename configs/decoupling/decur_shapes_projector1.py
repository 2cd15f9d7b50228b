# A linear projector: what an objective wants forgotten, the encoder has to forget.
_base_ = './decur_shapes.py'
model = dict(neck=dict(num_layers=1))
