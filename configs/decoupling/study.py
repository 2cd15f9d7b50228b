# Not a run: what tools/study.py trains and compares. Each arm is a config (beside this file) with options, and has a name (of its folder;
# default: that of the config), a label in the tables and the groups that it is shown in.
# train=False scores the encoder as it was initialised.
seeds = (0, 1, 2)
# The same encoder, projector, data and budget with another objective.
barlow_twins = {'model.head': dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051, statistics=False)}
vicreg = {'model.head': dict(_delete_=True, type='MultimodalVICRegHead', statistics=False)}
simclr = {'model.head': dict(_delete_=True, type='MultimodalSimCLRHead', temperature=0.1, statistics=False)}
clip = {'model.head': dict(_delete_=True, type='MultimodalCLIPHead', statistics=False)}
linear_projector = {'model.neck.num_layers': 1}
steps_2000 = {
    'train_cfg.max_iters': 2000, 'param_scheduler': [dict(type='CosineAnnealingLR', T_max=2000, by_epoch=False)],
    'default_hooks.checkpoint.interval': 2000}
shapes, three, gaussian = (
    'shapes_optical-radar_small-resnet_decur.py', 'shapes_optical-radar-height_small-resnet_decur.py',
    'gaussian_first-second_small-resnet_decur.py')
runs = [
    dict(config=shapes, label='DeCUR', groups=('objectives', 'share', 'lambda', 'terms', 'encoder'),
         labels=dict(share='75 %', terms='all terms', **{'lambda': '0.0051'})),
    dict(config=shapes, options=barlow_twins, name='barlow-twins_shapes', label='Barlow Twins', groups=('objectives', 'encoder')),
    dict(config=shapes, options=vicreg, name='vicreg_shapes', label='VICReg', groups=('objectives', )),
    dict(config=shapes, options=simclr, name='simclr_shapes', label='SimCLR', groups=('objectives', )),
    dict(config=shapes, options=clip, name='clip_shapes', label='CLIP', groups=('objectives', 'encoder')),
    dict(config=shapes, label='random', groups=('objectives', ), train=False),
    dict(config=shapes, options={'model.head.common_dim': 0}, name='decur_shapes_common0', label='0 %', groups=('share', )),
    dict(config=shapes, options={'model.head.common_dim': 64}, name='decur_shapes_common25', label='25 %', groups=('share', )),
    dict(config=shapes, options={'model.head.common_dim': 128}, name='decur_shapes_common50', label='50 %', groups=('share', )),
    dict(config=shapes, options={'model.head.common_dim': 256}, name='decur_shapes_common100', label='100 %', groups=('share', )),
    dict(config=shapes, options={'model.head.lambd': 0.0005}, name='decur_shapes_lambda0.0005', label='DeCUR, λ = 0.0005',
         groups=('objectives', 'lambda'), labels={'lambda': '0.0005'}),
    dict(config=shapes, options={'model.head.lambd': 0.05}, name='decur_shapes_lambda0.05', label='0.05', groups=('lambda', )),
    dict(config=shapes, options={'model.head.intra': False}, name='decur_shapes_no-intra', label='no terms within modalities',
         groups=('terms', )),
    dict(config=shapes, options={'model.head.lambd': dict(_delete_=True, intra=0.0051, common=0.0051, unique=0.1)},
         name='decur_shapes_lambda-unique', label='λ = 0.1 in the unique terms', groups=('terms', )),
    dict(config=shapes, options={'model.head.lambd': dict(_delete_=True, intra=0.0005, common=0.0051, unique=0.0051)},
         name='decur_shapes_lambda-intra', label='λ = 0.0005 within modalities', groups=('terms', )),
    dict(config=shapes, options={'model.neck.out_channels': 64, 'model.head.common_dim': 48}, name='decur_shapes_dims64',
         label='64 dimensions instead of 256', groups=('terms', )),
    *(dict(config=shapes, options={**objective, **linear_projector}, name=f'{name}_shapes_projector1', label=f'{label}, linear projector',
           groups=('encoder', ))
      for objective, name, label in (({}, 'decur', 'DeCUR'), (barlow_twins, 'barlow-twins', 'Barlow Twins'), (clip, 'clip', 'CLIP'))),
    *(dict(config=shapes, options={**objective, **steps_2000}, name=f'{name}_shapes_steps2000', label=f'{label}, 2000 steps',
           groups=('encoder', ))
      for objective, name, label in (({}, 'decur', 'DeCUR'), (barlow_twins, 'barlow-twins', 'Barlow Twins'), (clip, 'clip', 'CLIP'))),
    *(dict(config=config, options=objective, name=name and f'{name}_{world}', label=label, groups=(group, ), train=train)
      for config, world, group in ((three, 'shapes3', 'three'), (gaussian, 'gaussian', 'gaussian'))
      for objective, name, label, train in (({}, 'decur', 'DeCUR', True), (barlow_twins, 'barlow-twins', 'Barlow Twins', True),
                                            (clip, 'clip', 'CLIP', True), ({}, None, 'random', False))),
]
