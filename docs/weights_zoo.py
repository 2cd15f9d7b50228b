"""docs/weights_zoo.md: every published file of weights that decur.load takes by name.

``python docs/weights_zoo.py`` writes the page from :mod:`decur.weights.zoo` (the files and their inputs), the configs that they name, and
:mod:`decur.evaluation.published` (figures). tests/weights/test_zoo.py keeps the page true.
"""
from pathlib import Path

from decur.evaluation.published import ELSEWHERE, PAPER, PUBLISHED
from decur.evaluation.tables import markdown
from decur.sensors import STATISTICS
from decur.weights.zoo import WEIGHTS, Weights

PAGE = Path(__file__).resolve().parent / 'weights_zoo.md'
_HEAD = '''# Published weights by name

```python
import decur, rasterio
encoder = decur.load('decur_resnet50_ssl4eo-s12')              # downloads once, checks the digest, loads every key
s1, s2 = (rasterio.open(path).read().transpose(1, 2, 0) for path in ('s1.tif', 's2.tif'))     # VV, VH in dB; 13 bands of L1C
features = encoder.extract_feat(dict(sar=encoder.transforms['sar'](s1)[None], optical=encoder.transforms['optical'](s2)[None]))
print({name: tuple(x.shape) for name, x in features.items()})  # {'sar': (1, 2048), 'optical': (1, 2048)}
```

Images go in as `(H, W, C)` in the units of the tables below; `transforms` does to them what was done in the training. A single sensor works
alone (`decur_resnet50_ssl4eo-s12_optical`), and so do fewer bands ([bands.md](bands.md)).

`decur.list_weights('*geonrw*')` and `decur weights` list the names, `decur weights NAME` tells what is known of one, and
`decur weights NAME --download` fetches it for a machine without network. `pretrained=`,
`init_cfg=dict(type='Pretrained', checkpoint=...)` and `decur convert` take the names too. What happens without network, with a wrong digest
and with other bands: [weights.md](weights.md).

**What was checked.** None of these files was downloaded by this project. File names, addresses, sizes and digests are those that the
sources publish (`page`), and loading is tested on small files of the same layouts. A digest is compared when a file is fetched and
whenever it has changed. Where a source publishes none that could be read, the table says "on first use": the digest that the file has when
it is first used is printed, noted beside the file and compared from then on.

**Licences** are as the page or repository states them. For DeCUR's files the Hugging Face repository states CC-BY-4.0, the authors' code is
under Apache-2.0, and TorchGeo's copies state Apache-2.0.

**The published figures** below: [results.md](results.md) has the command for each that begins with these weights, trains and tests.

`python docs/weights_zoo.py` writes this page from the code.
'''
_GROUPS = (
    ('DeCUR on SSL4EO-S12', lambda entry: entry.name.startswith('decur_') and entry.data == 'SSL4EO-S12'),
    ("TorchGeo's and TerraTorch's copies", lambda entry: entry.name.startswith('torchgeo_')),
    ('DeCUR on GeoNRW', lambda entry: entry.name.startswith('decur_') and entry.data == 'GeoNRW'),
    ('DeCUR on SUN-RGBD', lambda entry: entry.name.startswith('decur_') and entry.data == 'SUN-RGBD'),
    ('Starting points of the RGB-D models', lambda entry: not entry.name.startswith(('decur_', 'torchgeo_'))),
)
#: Data set of the pretraining: those of the transfer, and how the tables of results call the sensors of its modalities.
_TRANSFERS = {'SSL4EO-S12': (('BigEarthNet-MM', ), {('sar', 'optical'): 'SAR + optical', ('sar', ): 'SAR', ('optical', ): 'optical'}),
              'GeoNRW': (('GeoNRW', ), {('rgb', 'dem'): 'RGB + DEM', ('rgb', ): 'RGB'}),
              'SUN-RGBD': (('SUN-RGBD', 'NYU-Depth v2'), {('rgb', 'hha'): 'RGB + HHA'})}


def figures(entry: Weights) -> list:
    """Published figures of DeCUR's weights: those of the paper and its supplement, and those of others."""
    if entry.method != 'DeCUR':
        return []
    datasets, sensors = _TRANSFERS[entry.data]
    out = []
    for (setting, method), (value, source) in PUBLISHED.items():
        if (method == 'DeCUR' and setting.dataset in datasets and setting.modalities == sensors.get(entry.modalities)
                and setting.encoder.removeprefix('CMX ') == entry.encoder):
            out.append(f'{setting.dataset}, {setting.labels} % of the labels, {setting.protocol}: {value:.1f}' + '†' * (source == PAPER))
    if entry.encoder == 'ResNet50' and entry.modalities == ('optical', ):
        out += [f'{row.dataset} ({row.figure}), {row.protocol}: {row.value:.1f}‡' for row in ELSEWHERE if 'ResNet50' in row.encoder]
    return out


def page() -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for title, belongs in _GROUPS:
        entries = [entry for entry in WEIGHTS.values() if belongs(entry)]
        parts.append(f'## {title}\n')
        parts.append(markdown(('name', 'encoder', 'modalities', 'config'), [
            (f'`{entry.name}`', entry.encoder, ' + '.join(entry.modalities), f'`{entry.config}`') for entry in entries]) + '\n')
        parts.append(markdown(('file', 'size', 'SHA-256', 'digest from'), [
            (f'[{entry.file}]({entry.address or entry.page})' + ' (in a browser)' * (not entry.address), entry.size or 'not known here',
             f'`{entry.sha256}`' if entry.sha256 else 'on first use', entry.digest or 'not published where it could be read')
            for entry in entries]) + '\n')
        parts.append('Licence: ' + '; '.join(dict.fromkeys(f'{entry.licence} ([page]({entry.page}))' for entry in entries)) + '.\n')
        parts.append(_inputs(entries))
        notes = {}
        for entry in entries:
            for text in (entry.note, entry.elsewhere):
                if text:
                    notes.setdefault(text, []).append(f'`{entry.name}`')
            if entry.also:
                notes.setdefault('Also found as ' + ', '.join(f'`{other}`' for other in entry.also) + '.', []).append(f'`{entry.name}`')
        if notes:
            parts.append('\n'.join(f'- {", ".join(names)}: {text}' for text, names in notes.items()) + '\n')
        results = {}
        for entry in entries:
            for line in figures(entry):
                results.setdefault(entry.encoder + ', ' + ' + '.join(entry.modalities), []).append(line)
        if results:
            parts.append('Published figures in percent († second-hand from the tables of the paper; ‡ of others, see '
                         '[results.md](results.md); the rest from the supplement):\n')
            parts.append('\n'.join(f'- {name}: {"; ".join(dict.fromkeys(lines))}.' for name, lines in results.items()) + '\n')
    parts.append(_statistics())
    return '\n'.join(parts)


def _inputs(entries: list) -> str:
    rows = {}
    for entry in entries:
        for modality, inputs in entry.inputs.items():
            rows[modality, inputs] = (f'`{modality}`', ', '.join(inputs.bands), inputs.units,
                                      inputs.scaling + (f' (statistics `{inputs.statistics}`)' if inputs.statistics else ''), inputs.size)
    return markdown(('modality', 'bands in order', 'units', 'what the encoder was trained to see', 'size'), list(rows.values())) + '\n'


def _statistics() -> str:
    ids = dict.fromkeys(inputs.statistics for entry in WEIGHTS.values() for inputs in entry.inputs.values() if inputs.statistics)
    rows = [(f'`{name}`', band, f'{mean:g}', f'{std:g}') for name in ids for band, mean, std in zip(*STATISTICS[name])]
    return '## Statistics\n\n' + markdown(('id', 'band', 'mean', 'standard deviation'), rows) + '\n'


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
