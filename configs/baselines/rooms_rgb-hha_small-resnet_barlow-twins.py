# Cross-modal Barlow Twins on generated rooms: DeCUR without unique dimensions and without the intra-modal terms.
_base_ = '../quickstart/rooms_rgb-hha_small-resnet_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051))
