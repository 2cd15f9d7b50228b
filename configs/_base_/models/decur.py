# DeCUR (Algorithm 1): an encoder and a projector 8192-8192-8192 per modality. The leaf config gives the modalities.
model = dict(
    type='MultimodalPretraining',
    backbone=dict(type='MultimodalBackbone'),
    neck=dict(type='MultimodalProjector', hid_channels=8192, out_channels=8192),
    head=dict(type='DeCURHead', common_dim=6144, lambd=0.0051))
sync_bn = 'torch'
