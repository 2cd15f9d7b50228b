# What every run shares: the package, logging, checkpoints, seeds.
custom_imports = dict(imports=['decur'], allow_failed_imports=False)
# Gives the top-level modalities of a config to its model, data sets and hooks.
runner_type = 'MultimodalRunner'
default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    logger=dict(type='LoggerHook', interval=50),
    metadata=dict(type='MetadataHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Every epoch (or, by iterations, as the schedule says), and at least every 10 minutes (recent.pth). Two are kept.
    checkpoint=dict(type='SafeCheckpointHook', interval=1, minutes=10, max_keep_ckpts=2, save_last=True))
custom_hooks = [dict(type='EpochSeedHook'), dict(type='NonFiniteLossHook')]
env_cfg = dict(
    cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
# TensorBoard: --cfg-options visualizer.vis_backends.0.type=TensorboardVisBackend, or several in a child config.
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(type='LogProcessor', window_size=10)
log_level = 'INFO'
randomness = dict(seed=0)
load_from = None
resume = False
