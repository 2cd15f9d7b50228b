# Not a run: what tools/better.py compares, by the plan of docs/better.md. A task is a pretraining config and, unless its factors are known, a
# transfer with frozen encoders. An arm is plain DeCUR or one change of it: options of every task, and of single ones.
seeds = (0, 1, 2)
#: What was chosen, and the seeds that it is judged with.
recipe, judging_seeds = 'contrast-linear', (0, 1, 2, 3, 4)
#: Judged by tools/ombria.py: its study and records, the arm there that is the recipe, and where chips are tested.
ombria = dict(study='../ombria/study.py', records='../../docs/ombria.csv', recipe='decur_contrast', places=('scene_test', 'event2021'))
#: Plain DeCUR has 75 % common dimensions; what other shares, and that which the data suggest, come to with 1, 2, 3 shared factors of four.
split = dict(tasks=('shared-1', 'shapes', 'shared-3'), shares=('common-25', 'common-50', 'plain'), suggested='common-suggested')
# Whose blocks of dimensions a figure shows.
decoupling = ('plain', 'contrast-linear', 'contrast-completeness', 'disentangled')
# Commands that make the data.
patches = ('generate_dataset.py', 'landcover')
data = {
    'rooms': [('generate_dataset.py', 'rooms', '{data}/rooms', '--num-train', '2000', '--num-test', '200', '--size', '64', '64', '--seed', '0')],
    'landcover/ssl4eo': [
        (*patches, '{data}/landcover/release', '--layout', 'ssl4eo', '--num-train', '400', '--size', '96'),
        ('prepare_dataset.py', 'ssl4eo', '{data}/landcover/release', '{data}/landcover/ssl4eo', '--products', 's1', 's2c')],
    'landcover/bigearthnet': [
        (*patches, '{data}/landcover/bigearthnet', '--layout', 'bigearthnet', '--num-train', '300', '--num-test', '300', '--size', '96')],
    'landcover/geonrw': [
        (*patches, '{data}/landcover/geonrw', '--layout', 'geonrw', '--num-train', '800', '--num-test', '100', '--size', '128')],
}
shapes = '../decoupling/shapes_optical-radar_small-resnet_decur.py'
shared, private = [('optical', 'radar')], [('optical', ), ('radar', )]


def _factors(**factors):
    """Options of the shapes world, in which shape and texture are shared, colour and orientation private: other modalities of a factor."""
    return {f'{data}.factors.{name}': where for data in ('train_dataloader.dataset', 'score_dataset') for name, where in factors.items()}


# share: of the config's epochs or iterations.
s1_s2 = dict(
    config='../landcover/landcover_s1-s2_small-resnet_decur.py', data='landcover/ssl4eo', share=0.5,
    transfer='../landcover/landcover_s1-s2_small-resnet_frozen.py', transfer_data='landcover/bigearthnet', metric='multi-label/mAP_micro')
rgb_dem = dict(
    config='../landcover/landcover_rgb-dem_small-resnet_decur.py', data='landcover/geonrw', share=0.5,
    transfer='../landcover/landcover_rgb-dem_small-resnet_frozen.py', transfer_data='landcover/geonrw', metric='mIoU')
rooms = dict(
    config='../quickstart/rooms_rgb-hha_small-resnet_decur.py', data='rooms', share=1 / 3,
    transfer='../quickstart/rooms_rgb_small-resnet_frozen.py', transfer_data='rooms', metric='mIoU')
tasks = {
    'shapes': dict(config=shapes),
    's1-s2': s1_s2,
    'rgb-dem': rgb_dem,
    'rooms': rooms,
    # For judging the recipe, once it is chosen; not for choosing it.
    'shapes3': dict(config='../decoupling/shapes_optical-radar-height_small-resnet_decur.py', judged=True),
    'places': dict(config='../decoupling/places_camera-lidar_small-resnet_decur.py', judged=True),
    # Not in the score: the same weights fine-tuned, which says what better frozen features could gain with these labels.
    's1-s2-tuned': dict(s1_s2, scored=False, transfer_options={'model.backbone.frozen': False, 'optim_wrapper.optimizer.lr': 0.05}),
    'rgb-dem-tuned': dict(rgb_dem, scored=False, transfer_options={'model.backbone.frozen': False}),
    'rooms-tuned': dict(rooms, scored=False, transfer_options={'model.backbone.frozen': False}),
    # Other numbers of shared factors, private factors after long training, and a world of linear mixtures.
    'shared-1': dict(config=shapes, scored=False, options=_factors(texture=private)),
    'shared-3': dict(config=shapes, scored=False, options=_factors(colour=shared)),
    'shapes-2000': dict(config=shapes, share=4., scored=False),
    'gaussian': dict(config='../decoupling/gaussian_first-second_small-resnet_decur.py', scored=False),
}
completeness = {'model.auxiliary_heads': [dict(type='CompletenessHead', weight=100.)]}
linear, two_layers = {'model.neck.num_layers': 1}, {'model.neck.num_layers': 2}
worlds = ('shapes', 'shared-1', 'shared-3')


def _common(label, *dims):
    """Another number of common dimensions of 256 in each of the three worlds."""
    return dict(idea='common dimensions', label=label, only=worlds,
                tasks={world: {'model.head.common_dim': dim} for world, dim in zip(worlds, dims)})


def _contrast(weight, **term):
    return {'model.head.extra': [dict(type='SampleContrastTerm', weight=weight, **term)]}


arms = {
    'plain': dict(label='plain DeCUR', tasks=dict.fromkeys(
        ('s1-s2-tuned', 'rgb-dem-tuned', 'rooms-tuned', 'shared-1', 'shared-3', 'shapes-2000', 'gaussian'), {})),
    # Random weights, a rate of 0; but batch normalization takes its statistics from the data (25 steps, or an epoch).
    'random': dict(label='random encoders, normalized on the data', steps=0.05, options={'optim_wrapper.optimizer.lr': 0.0}),
    'cross-block': dict(
        idea='common against unique', label='correlation, weight 0.0051', options={'model.head.extra': [dict(type='CrossBlockTerm')]}),
    'hsic': dict(
        idea='common against unique', label='HSIC, weight 10',
        options={'model.head.extra': [dict(type='CrossBlockTerm', kind='hsic', weight=10.)]}),
    'projector-1': dict(idea='projector', label='1 layer', options=linear),
    'projector-2': dict(idea='projector', label='2 layers', options=two_layers),
    'lambda-intra': dict(
        idea='lambda', label='0.0005 within modalities',
        options={'model.head.lambd': dict(_delete_=True, intra=0.0005, common=0.0051, unique=0.0051)}),
    'lambda': dict(idea='lambda', label='0.0005 in all terms', options={'model.head.lambd': 0.0005}),
    'width': dict(idea='K', label='a quarter', tasks={
        'shapes': {'model.neck.out_channels': 64, 'model.head.common_dim': 48},
        's1-s2': {'model.neck.out_channels': 128, 'model.head.common_dim': 112},
        'rgb-dem': {'model.neck.out_channels': 128, 'model.head.common_dim': 96},
        'rooms': {'model.neck.out_channels': 256, 'model.head.common_dim': 192}}),
    # A teacher's forward passes are paid for by fewer steps: 6 encoder passes of a view become 8.
    'teacher': dict(
        idea='EMA teacher', label='momentum 0.02, 3/4 of the steps', steps=0.75,
        options={'model.teacher': dict(type='ExponentialMovingAverage', momentum=0.02)}),
    'completeness-10': dict(
        idea='completeness', label='weight 10', options={'model.auxiliary_heads': [dict(type='CompletenessHead', weight=10.)]}),
    'completeness-100': dict(
        idea='completeness', label='weight 100', options=completeness, tasks={'shapes-2000': {}}),
    'dense': dict(
        idea='dense terms', label='stage before the last, weight 0.5',
        options={'model.auxiliary_heads': [dict(type='DenseHead', weight=0.5, grid=3, hid_channels=128, out_channels=128)]}),
    # Contrast of samples beside the decorrelation of dimensions, also with a linear projector and completeness (combinations of ideas).
    'contrast-low': dict(idea='contrast of samples', label='given the shared part, weight 0.04', options=_contrast(0.04)),
    'contrast': dict(idea='contrast of samples', label='given the shared part, weight 0.12', options=_contrast(0.12)),
    'contrast-high': dict(idea='contrast of samples', label='given the shared part, weight 0.4', options=_contrast(0.4)),
    'contrast-both': dict(
        idea='contrast of samples', label='given the shared part and of the shared part, weight 0.04', options=_contrast(0.04, shared=True)),
    'contrast-low-linear': dict(
        idea='combination', label='contrast of samples with weight 0.04, projector of 1 layer', options={**_contrast(0.04), **linear}),
    'contrast-linear': dict(
        idea='combination', short='contrast, linear projector',
        label='contrast of samples with weight 0.12, projector of 1 layer', options={**_contrast(0.12), **linear}),
    'contrast-completeness': dict(
        idea='combination', short='contrast, completeness',
        label='contrast of samples with weight 0.12, completeness with weight 100', tasks={'shapes-2000': {}},
        options={**_contrast(0.12), **completeness}),
    'contrast-linear-completeness': dict(
        idea='combination', label='all three: contrast of samples with weight 0.12, projector of 1 layer, completeness with weight 100',
        options={**_contrast(0.12), **linear, **completeness}),
    # 75 % is plain DeCUR. What tools/analysis/suggest_common_dim.py says of the first seed of 50 %.
    'common-25': _common('25 %', 64, 64, 64),
    'common-50': _common('50 %', 128, 128, 128),
    'common-suggested': _common('as suggested by the data', 56, 24, 153),
    # Baselines.
    'comm': dict(
        idea='baseline', label='CoMM', only=['shapes'], options={
            'model.head': dict(_delete_=True, type='CoMMHead', width=256, statistics=False), **linear}),
    'disentangled': dict(
        idea='baseline', short='DisentangledSSL', label='DisentangledSSL', only=['shapes', 'gaussian'], tasks={'gaussian': {}}, options={
            'model.head': dict(_delete_=True, type='DisentangledSSLHead', common_dim=192, statistics=False)}),
    'crops': dict(
        idea='crops', label='independent where the plain config aligns them, and aligned where it does not', tasks={
            'shapes': {'train_dataloader.dataset.pipeline.1.aligned': True},
            's1-s2': {'train_dataloader.dataset.pipeline.2.aligned': False},
            'rgb-dem': {'train_dataloader.dataset.pipeline.1.aligned': False},
            'rooms': {'train_dataloader.dataset.pipeline.1.aligned': False}}),
}
