# Cross-modal Barlow Twins on SUN-RGBD with ResNet50: DeCUR without unique dimensions and without the intra-modal terms.
_base_ = '../decur/sunrgbd_rgb-hha_r50_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051))
