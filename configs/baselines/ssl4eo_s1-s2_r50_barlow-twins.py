# Cross-modal Barlow Twins on SSL4EO-S12 with ResNet50: DeCUR without unique dimensions and without the intra-modal terms.
_base_ = '../decur/ssl4eo_s1-s2_r50_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051))
