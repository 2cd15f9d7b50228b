# Cross-modal VICReg on SUN-RGBD with ResNet50: the same encoders, projector, data and schedule as DeCUR, another objective.
_base_ = '../decur/sunrgbd_rgb-hha_r50_decur.py'
model = dict(head=dict(_delete_=True, type='MultimodalVICRegHead', sim_coeff=25., std_coeff=25., cov_coeff=1.))
