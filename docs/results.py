"""docs/results.md: every published figure of DeCUR that is known here, what this project measured, and what the empty cells would cost.

``python docs/results.py`` writes the page from :mod:`decur.evaluation.published` and the records below docs/records/published (folders with
``test.json`` of tools/test.py). tests/evaluation/test_results_page.py keeps the page true.
"""
from pathlib import Path

from decur.evaluation.published import ELSEWHERE, PAPER
from decur.evaluation.results import collect, format_values, read_runs
from decur.evaluation.tables import markdown
from decur.weights.zoo import WEIGHTS

ROOT = Path(__file__).resolve().parents[1]
PAGE, RECORDS = ROOT / 'docs' / 'results.md', ROOT / 'docs' / 'records' / 'published'

#: Operations per second that training is taken to reach on one A100 in mixed precision: 2500 images of 224 pixels with ResNet50.
SPEED = 2500 * 3 * 8.2e9
#: 10^9 operations (two per multiplication and addition) of an encoder for one image of 224 pixels. Of ResNet50 4.1 x 2; the two deformable
#: attentions have 1x1 convolutions of 0.5 and 0.8 x 10^9 multiplications; MiT and ViT as published.
ENCODER = {'ResNet50': 8.2, 'ResNet50-CBAM': 8.2, 'ResNet50-RDA': 10.9, 'ResNet50-DA': 10.9, 'ResNet50-Cross-DA': 10.9, 'ViT-S/16': 9.2,
           'MiT-B2': 8.0, 'MiT-B5': 22.8}
#: Images, epochs of the pretraining by data set of the transfer: SSL4EO-S12, GeoNRW in tiles, SUN-RGBD.
PRETRAINING = {'BigEarthNet-MM': (251_079, 100), 'GeoNRW': (116_768, 100), 'SUN-RGBD': (5_285, 200), 'NYU-Depth v2': (5_285, 200)}
#: Images, epochs of the transfer.
TRANSFER = {'BigEarthNet-MM': (269_695, 100), 'GeoNRW': (116_768, 30)}
#: RGB-D segmentors: 10^9 operations for an image of the crop size, and images seen in training.
SEGMENTORS = {('SUN-RGBD', 'FCN ResNet50'): (232, 40_000 * 8), ('NYU-Depth v2', 'FCN ResNet50'): (232, 40_000 * 8),
              ('SUN-RGBD', 'CMX MiT-B2'): (201, 5_285 * 200), ('NYU-Depth v2', 'CMX MiT-B5'): (672, 795 * 500)}
_PRETRAININGS = {'DeCUR': 'decur', 'SimCLR': 'simclr', 'CLIP': 'clip', 'Barlow Twins': 'barlow-twins', 'VICReg': 'vicreg',
                 'random': 'random', 'ImageNet': 'imagenet'}
#: Objectives that compare the sensors with one view each encode half as many images.
_ONE_VIEW = ('CLIP', 'SimCLR', 'Barlow Twins', 'VICReg')
_HEAD = f'''# Results: published, and ours

Three kinds of cells. **Published by the authors**: † from a second-hand reading of the tables of the paper (arXiv 2309.05300; its rows of
random, supervised, CLIP and VICReg encoders and its ablations are not known here), the others from its supplement, Tables 1 and 2.
**Published by others**, with the authors' weights: the last table. **This project**: mean ± standard deviation over seeds. An empty cell
was not run here: no full-size run was made, for want of GPUs. What this project did measure, on real data of a size that CPU cores can
train on, is in [ombria.md](ombria.md) and [real_data.md](real_data.md).

**GPU hours** are estimates for one A100, pretraining + transfer (a pretraining is needed once for all rows that share it; 0: none is
needed). They count the operations of the encoders (three times those of a forward pass in training, once where encoders are frozen) and
divide by {SPEED / 1e12:.0f} x 10^12 a second, which is ResNet50 at 2500 images of 224 pixels a second. Reading is taken to keep up. The
sizes are those of the releases: SSL4EO-S12 251,079 locations, GeoNRW 116,768 tiles, SUN-RGBD 5,285 images, BigEarthNet-MM 269,695
patches of its official split, NYU-Depth v2 795 images. No estimate was checked on a GPU: expect a factor of two.

**The command** pretrains, transfers and tests one seed; it can be stopped and started again (`--gpus 4` for four). The row of Cross-DA has
none: its attention takes queries from the other sensor, which a transfer from one sensor does not have.

**With the authors' weights** the encoders are not pretrained but downloaded, by their name in [weights_zoo.md](weights_zoo.md): the command
that reproduces the figure of a published checkpoint (of the GPU hours only the second number is needed). "Not published": the authors'
repository has no weights of this row. "None needed": the command of the row starts at random, or downloads ImageNet weights. The published
encoders of GeoNRW and SUN-RGBD see B, G, R, which the command sets for training and test. Neither the weights nor the figures that they
give could be had here: the commands were run to their end on generated data, with files of the same layouts and random numbers.

The data must lie where the line above each table puts them; [remote_sensing.md](remote_sensing.md) and [rgbd.md](rgbd.md) have more about
that. `python docs/results.py` writes this page from the code and from records of tests, `python tools/table.py work_dirs` the same tables
from your own.
'''
#: Commands that put the data where the configs look for them: of the transfer, and what a pretraining needs beside them.
_PREPARE = {
    'BigEarthNet-MM': ('python tools/prepare_dataset.py bigearthnet DOWNLOADS data/bigearthnet',
                       'python tools/prepare_dataset.py ssl4eo DOWNLOADS data/ssl4eo'),
    'GeoNRW': ('python tools/prepare_dataset.py geonrw DOWNLOADS data/geonrw', ''),
    'SUN-RGBD': ('python tools/prepare_dataset.py sunrgbd DOWNLOADS data/sunrgbd', ''),
    'NYU-Depth v2': ('python tools/prepare_dataset.py nyudv2 DOWNLOADS data/nyudv2',
                     'python tools/prepare_dataset.py sunrgbd DOWNLOADS data/sunrgbd')}
#: Parts of a config's name to parts of the published weights' names; which of these exist is in the table of names.
_WEIGHTS_OF = {'bigearthnet': 'ssl4eo-s12', 'geonrw': 'geonrw', 'sunrgbd': 'sunrgbd', 'nyudv2': 'sunrgbd', 'r50': 'resnet50',
               'r50-rda': 'resnet50-rda', 's1': '_sar', 's2': '_optical', 'rgb': '_rgb', 's1-s2': '', 'rgb-dem': '', 'rgb-hha': ''}


def hours(row: dict) -> tuple:
    """Estimated GPU hours of the pretraining and of the transfer of a row of :func:`~decur.evaluation.results.collect`."""
    dataset, encoder = row['dataset'], row['encoder']
    images, epochs = PRETRAINING[dataset]
    before = 0.
    kind = encoder.replace('CMX ', '').replace('FCN ', '')
    if row['pretraining'] not in ('random', 'ImageNet'):
        views = 2 if row['pretraining'] in _ONE_VIEW else 4
        before = images * epochs * views * 3 * ENCODER[kind] * 1e9 / SPEED
    if dataset in TRANSFER:
        images, epochs = TRANSFER[dataset]
        passes = 1 if row['protocol'] == 'frozen' else 3
        after = row['labels'] / 100 * images * epochs * passes * ENCODER[kind] * 1e9 * (1 + ('+' in row['modalities'])) / SPEED
    else:
        operations, images = SEGMENTORS[dataset, encoder]
        after = 3 * operations * 1e9 * images / SPEED
    return before / 3600, after / 3600


def command(row: dict) -> str:
    """What fills a row; empty where there is no config for it."""
    if not list((ROOT / 'configs').glob(f'*/{row["config"]}.py')):
        return ''
    labels = '' if row['labels'] == 100 else f' --labels {row["labels"]}'
    tta = ' --tta' if row['options'] == 'tta=True' else ''
    return f'`python tools/reproduce.py {row["config"]}{labels} --pretraining {_PRETRAININGS[row["pretraining"]]}{tta}`'


def weights(row: dict) -> str:
    """Name of the authors' weights of a row of :func:`~decur.evaluation.results.collect`; empty where they published none."""
    if row['pretraining'] != 'DeCUR':
        return ''
    data, sensors, encoder, _ = row['config'].split('_')
    name = f'decur_{_WEIGHTS_OF.get(encoder, encoder)}_{_WEIGHTS_OF[data]}{_WEIGHTS_OF[sensors]}'
    return name if name in WEIGHTS else ''


def published_command(row: dict) -> str:
    """The command that starts from the authors' weights, or why there is none."""
    if row['pretraining'] in ('random', 'ImageNet'):
        return 'none needed'
    name = weights(row)
    if not name or not command(row):
        return 'not published'
    return command(row).replace(f' --pretraining {_PRETRAININGS[row["pretraining"]]}', f' --weights {name}')


def prepare(dataset: str) -> str:
    """The line above a table: how its data get where the configs look for them."""
    transfer, before = _PREPARE[dataset]
    return f'Data: `{transfer}`' + (f'; for a pretraining also `{before}`' if before else '') + '.'


def _hours(row: dict) -> str:
    return ' + '.join('0' if not value else f'{value:.1g}' if value < 10 else f'{value:.0f}' for value in hours(row))


def page() -> str:
    """The page as Markdown."""
    runs = read_runs([RECORDS])[0] if RECORDS.is_dir() else []
    rows, _ = collect(runs)
    parts = [_HEAD]
    for dataset in dict.fromkeys(row['dataset'] for row in rows):
        own = [row for row in rows if row['dataset'] == dataset]
        head = ('sensors', 'labels', 'protocol', 'encoder', 'pretraining', 'authors', 'this project', 'GPU hours', 'command',
                "with the authors' weights")
        parts.append(f'## {dataset}, {own[0]["figure"]}\n\n{prepare(dataset)}\n\n' + markdown(head, [(
            row['modalities'], f'{row["labels"]} %', row['protocol'], row['encoder'], row['pretraining'],
            '' if row['published'] is None else f'{row["published"]:.1f}' + '†' * (row['source'] == PAPER), format_values(row['values']),
            _hours(row), command(row), published_command(row)) for row in own]) + '\n')
    parts.append("## The authors' weights, measured by others\n\nNo command here gives these figures: they come from other programs, with "
                 'data sets, heads and searches of their own. The ResNet50 is `decur_resnet50_ssl4eo-s12_optical` in '
                 "[weights_zoo.md](weights_zoo.md), TorchGeo's copy `torchgeo_resnet50_sentinel2_all_decur`. "
                 '[benchmarks.md](benchmarks.md) runs torchgeo-bench and the protocol of GEO-Bench for frozen encoders with them, one '
                 'command each, whose figures are not comparable to these. Not computed by this project.\n\n')
    head = ('data set', 'figure', 'encoder', 'protocol', 'value', 'source', 'this project')
    parts[-1] += markdown(head, [
        (row.dataset, row.figure, row.encoder, row.protocol, f'{row.value:.1f}', row.source, '') for row in ELSEWHERE]) + '\n'
    return '\n'.join(parts)


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
