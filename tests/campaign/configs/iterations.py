# Iteration-based training that takes a second: what is killed and goes on.
_base_ = '../../../configs/decoupling/shapes_optical-radar_small-resnet_decur.py'
small = dict(encoder=dict(stem_channels=4, base_channels=4))
modalities = dict(optical=small, radar=small)
model = dict(neck=dict(hid_channels=16, out_channels=16), head=dict(common_dim=12))
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(num_images=64))
train_cfg = dict(max_iters=9)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=2, save_optimizer=True))
