# Without the terms within modalities: nothing asks the unique dimensions to carry anything.
_base_ = './decur_shapes.py'
model = dict(head=dict(intra=False))
