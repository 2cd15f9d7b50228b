# Cross-modal VICReg on SSL4EO-S12 with ResNet50: the same encoders, projector, data and schedule as DeCUR, another objective.
_base_ = '../decur/ssl4eo_s1-s2_r50_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalVICRegHead', sim_coeff=25., std_coeff=25., cov_coeff=1.))
