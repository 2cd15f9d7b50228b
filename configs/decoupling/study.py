# Not a run: what tools/study.py trains and compares. Each entry: config (beside this file), label in the tables, groups it is shown in.
# train=False scores the encoder as it was initialised.
seeds = (0, 1, 2)
runs = [
    dict(config='decur_shapes.py', label='DeCUR', groups=('objectives', 'share', 'lambda', 'terms'),
         labels=dict(share='75 %', terms='all terms, λ = 0.0051, 256 dimensions', **{'lambda': '0.0051'})),
    dict(config='barlow-twins_shapes.py', label='Barlow Twins', groups=('objectives', )),
    dict(config='vicreg_shapes.py', label='VICReg', groups=('objectives', )),
    dict(config='simclr_shapes.py', label='SimCLR', groups=('objectives', )),
    dict(config='clip_shapes.py', label='CLIP', groups=('objectives', )),
    dict(config='decur_shapes.py', label='random', groups=('objectives', ), train=False),
    dict(config='decur_shapes_common0.py', label='0 %', groups=('share', )),
    dict(config='decur_shapes_common25.py', label='25 %', groups=('share', )),
    dict(config='decur_shapes_common50.py', label='50 %', groups=('share', )),
    dict(config='decur_shapes_common100.py', label='100 %', groups=('share', )),
    dict(config='decur_shapes_lambda0.0005.py', label='0.0005', groups=('lambda', )),
    dict(config='decur_shapes_lambda0.05.py', label='0.05', groups=('lambda', )),
    dict(config='decur_shapes_no-intra.py', label='no terms within modalities', groups=('terms', )),
    dict(config='decur_shapes_lambda-unique.py', label='λ = 0.1 in the unique terms', groups=('terms', )),
    dict(config='decur_shapes_dims64.py', label='64 dimensions instead of 256', groups=('terms', )),
    dict(config='decur_shapes3.py', label='DeCUR', groups=('three', )),
    dict(config='barlow-twins_shapes3.py', label='Barlow Twins', groups=('three', )),
    dict(config='clip_shapes3.py', label='CLIP', groups=('three', )),
    dict(config='decur_shapes3.py', label='random', groups=('three', ), train=False),
    dict(config='decur_gaussian.py', label='DeCUR', groups=('gaussian', )),
    dict(config='barlow-twins_gaussian.py', label='Barlow Twins', groups=('gaussian', )),
    dict(config='clip_gaussian.py', label='CLIP', groups=('gaussian', )),
    dict(config='decur_gaussian.py', label='random', groups=('gaussian', ), train=False),
]
