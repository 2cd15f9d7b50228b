"""Configs for the tests of the tools that look at a model: the decoupling configs, made tiny."""
from helpers import ROOT


def tiny(path, base='shapes_optical-radar_small-resnet_decur.py', extra=''):
    """Write a child of a decoupling config that trains two steps on small pictures."""
    path.write_text(f'''
_base_ = {str(ROOT / 'configs' / 'decoupling' / base)!r}
# With 4 channels the backward pass of oneDNN's convolutions (torch 2.13) writes beyond its memory on some processors.
tiny_encoder = dict(stem_channels=8, base_channels=8)
train_dataloader = dict(batch_size=8, dataset=dict(num_images=40, image_size=16))
score_dataset = dict(num_images=60, image_size=16)
iterations = 2
param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, by_epoch=False)]
train_cfg = dict(max_iters=2)
modalities = dict(optical=dict(encoder=tiny_encoder), radar=dict(encoder=tiny_encoder))
model = dict(neck=dict(hid_channels=16, out_channels=16))
{extra}
''')
    return path
