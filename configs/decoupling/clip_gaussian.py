_base_ = './decur_gaussian.py'
model = dict(head=dict(_delete_=True, type='MultimodalCLIPHead', statistics=False))
