# Cross-modal Barlow Twins on GeoNRW with ResNet50: DeCUR without unique dimensions and without the intra-modal terms.
_base_ = '../decur/geonrw_rgb-dem_r50_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051))
