# Cross-modal VICReg on generated rooms: the same encoders, projector, data and schedule as DeCUR, another objective.
_base_ = '../quickstart/rooms_rgb-hha_small-resnet_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalVICRegHead', sim_coeff=25., std_coeff=25., cov_coeff=1.))
