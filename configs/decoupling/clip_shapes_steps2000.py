# The same encoder, projector, data and budget with another objective.
_base_ = './decur_shapes_steps2000.py'
model = dict(head=dict(_delete_=True, type='MultimodalCLIPHead', statistics=False))
