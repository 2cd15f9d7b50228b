# Not a run: what tools/ombria.py pretrains, transfers and compares; docs/ombria.md has the protocol and what came out.
pretraining = 'ombria_s1-s2_small-resnet_decur.py'
# One sensor, and frozen encoders, are options of it.
transfer = 'ombria_s1-s2_small-resnet_finetune.py'
#: Seeds of pretraining. The transfer with labelled subset s starts from the pretraining of seed s modulo their number.
seeds = (0, 1, 2, 3, 4)
# The projector of SimCLR and CLIP is the two-layer one of the other baselines of this project.
contrastive = {'model.neck.num_layers': 2, 'model.neck.out_channels': 128}
barlow_twins = {'model.head': dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051)}
clip = {**contrastive, 'model.head': dict(_delete_=True, type='MultimodalCLIPHead', temperature=0.07)}
# Objectives that encode one view of each sensor do half of DeCUR's work in a step: with twice the epochs they do the same.
twice = {'train_cfg.max_epochs': 24, 'param_scheduler.0.T_max': 24}


def _views(**settings):
    """Options that change the augmentation of both sensors."""
    return {f'modalities.{name}.augmentation.{key}': value for name in ('sar', 'optical') for key, value in settings.items()}


#: What is tried before the study, for each of the arms of `tuning`; `more` are further options of single arms.
settings = dict(
    default=dict(label='as in the study', options={}),
    near=dict(label='crops of 50 to 70 %', options=_views(scale=(0.5, 0.7))),
    plain=dict(label='no blur, brightness and contrast ± 10 %', options=_views(blur_prob=0.0, brightness=0.1, contrast=0.1)),
    wide=dict(label='1024 dimensions', options={'model.neck.out_channels': 1024}, more=dict(decur={'model.head.common_dim': 768})))
#: Starts of the encoders: name in folders and records, label in tables, options of the pretraining (None: not pretrained).
arms = dict(
    per_pixel=dict(label='per pixel', options=None),
    random=dict(label='random', options=None),
    # Encoders keep their random weights (a rate of 0), but their normalization takes its statistics from the data.
    random_normalized=dict(label='random, normalized on the data', options={
        'optim_wrapper.optimizer.lr': 0.0, 'train_cfg.max_epochs': 1, 'param_scheduler.0.T_max': 1}),
    decur=dict(label='DeCUR', options={}),
    decur_chosen=dict(label='DeCUR, chosen setting', options=settings['near']['options']),
    # What docs/better.md chose on other data, and judges here.
    decur_contrast=dict(label='DeCUR with contrast of samples, linear projector', options={
        'model.neck.num_layers': 1, 'model.head.extra': [dict(type='SampleContrastTerm')]}),
    barlow_twins=dict(label='Barlow Twins across sensors', options=barlow_twins),
    simclr=dict(label='SimCLR across sensors', options={
        **contrastive, 'model.head': dict(_delete_=True, type='MultimodalSimCLRHead', temperature=0.1)}),
    clip=dict(label='CLIP across sensors', options=clip),
    vicreg=dict(label='VICReg across sensors', options={'model.head': dict(_delete_=True, type='MultimodalVICRegHead')}),
    single=dict(label='Barlow Twins within each sensor', options={
        'model.head': dict(_delete_=True, type='MultimodalBarlowTwinsHead', lambd=0.0051, between='views')}),
    # The two later methods that docs/better.md compares with, untuned.
    disentangled=dict(label='DisentangledSSL', options={
        'model.head': dict(_delete_=True, type='DisentangledSSLHead', common_dim=384)}),
    comm=dict(label='CoMM', options={
        'model.neck.num_layers': 1, 'model.head': dict(_delete_=True, type='CoMMHead', width=512)}),
    barlow_twins_x2=dict(label='Barlow Twins across sensors, twice the steps', options={**barlow_twins, **twice}),
    clip_x2=dict(label='CLIP across sensors, twice the steps', options={**clip, **twice}))
baselines = ('barlow_twins', 'simclr', 'clip', 'vicreg', 'single')
frozen, finetune = ('frozen', ), ('finetune', )
# Five times the iterations: of supervised training with all labels, and to see whether 200 suffice for the head.
longer = {'train_cfg.max_iters': 1000, 'param_scheduler.0.end': 1000, 'default_hooks.checkpoint.interval': 1000}
#: In the order in which they run; a cell is in one round only. `subsets` are the seeds of the labelled subset and of the transfer.
rounds = (
    dict(name='first', arms=('random', 'decur'), protocols=frozen),
    dict(name='per-pixel', arms=('per_pixel', ), protocols=('per-pixel', )),
    dict(name='finetune', arms=('random', 'decur'), protocols=finetune),
    dict(name='subsets', arms=('random', 'decur'), protocols=frozen, subsets=range(5, 10)),
    dict(name='chosen', arms=('decur_chosen', ), protocols=frozen, subsets=range(10)),
    dict(name='per-pixel-subsets', arms=('per_pixel', ), protocols=('per-pixel', ), subsets=range(5, 10)),
    dict(name='contrast', arms=('decur_contrast', ), protocols=frozen),
    dict(name='baselines', arms=baselines, protocols=frozen),
    dict(name='later-methods', arms=('disentangled', 'comm'), protocols=frozen),
    dict(name='baselines-finetune', arms=baselines, protocols=finetune),
    dict(name='supervised', arms=('random', ), protocols=finetune, labels=('all', ), options=longer, variant='1000 iterations'),
    dict(name='normalized', arms=('random_normalized', ), protocols=frozen, subsets=range(10)),
    dict(name='longer', arms=('random', 'decur'), protocols=frozen, options=longer, variant='1000 iterations', subsets=(0, 1, 2)),
    dict(name='sensors', arms=('random', 'decur', 'single'), protocols=frozen, sensors=('s1', 's2')),
    dict(name='labels', arms=('random', 'decur'), protocols=frozen, labels=('8', '128', 'all')),
    dict(name='compute', arms=('barlow_twins_x2', 'clip_x2'), protocols=frozen),
    dict(name='labels-finetune', arms=('random', 'decur'), protocols=finetune, labels=('8', '128', 'all')),
    dict(name='sensors-finetune', arms=('random', 'decur'), protocols=finetune, sensors=('s1', 's2')))
#: What tools/ombria_tuning.py compares on `scene_val`: one pretraining and three labelled subsets of each arm with each of the settings.
tuning = dict(arms=('decur', 'barlow_twins', 'single'), seed=0, subsets=(0, 1, 2), settings=settings)
