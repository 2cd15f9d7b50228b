# Supplement B.1: LARS 0.2 for weights, 0.0048 for biases and norms (no adaptation, no decay), cosine without warm-up.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='ForeachLARS', lr=0.2, momentum=0.9, weight_decay=1e-6),
    constructor='NdimOptimWrapperConstructor',
    paramwise_cfg=dict(lr_1d=0.0048))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=100, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
