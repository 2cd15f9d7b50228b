_base_ = './decur_gaussian.py'
model = dict(head=dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051, statistics=False))
