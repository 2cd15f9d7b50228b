"""The model card: what a stranger needs to use encoders rightly, written from what the encoders say of themselves."""
from collections.abc import Mapping, Sequence

import torch

from ..evaluation.tables import markdown
from ..modalities import encoder_order, statistics
from ..sensors import STATISTICS
from ..version import __version__

_PAPER = '''@inproceedings{wang2024decur,
  title={Decoupling Common and Unique Representations for Multimodal Self-supervised Learning},
  author={Wang, Yi and Albrecht, Conrad M and Ait Ali Braham, Nassim and Liu, Chenying and Xiong, Zhitong and Zhu, Xiao Xiang},
  booktitle={European Conference on Computer Vision (ECCV)},
  year={2024}
}'''


def model_card(encoder, name: str, licence: str, data: str | None, results: Sequence[Mapping], citation: str | None,
               example: Mapping) -> str:
    """The text of a model card, with the front matter of the Hugging Face hub.

    Args:
        encoder (LoadedEncoder): What it is about.
        name (str), licence (str), data (str, optional), results (Sequence[dict]), citation (str, optional): As for
            :func:`~decur.apis.hub.save_pretrained`.
        example (dict[str, Tensor]): ``image.NAME``, ``seen.NAME`` and ``feature.NAME`` by modality.

    Returns:
        str: Markdown.
    """
    bands = {band for entry in encoder.modalities.values() for band in entry.get('bands') or ()}
    tags = ['self-supervised-learning', 'multimodal', 'feature-extraction']
    tags += ['remote-sensing'] if bands & {'VV', 'VH', 'B2', 'B8', 'DEM'} else []
    tags += ['sentinel-1'] if 'VV' in bands else []
    tags += ['sentinel-2'] if {'B2', 'B3', 'B4'} & bands else []
    head = '\n'.join(['---', f'license: {licence.lower() if " " not in licence else "other"}', 'library_name: decur',
                      'pipeline_tag: image-feature-extraction', 'tags:', *(f'- {tag}' for tag in tags), '---'])
    names = list(encoder.modalities)
    rows = [(f'`{modality}`', str(entry['channels']), ', '.join(entry.get('bands') or ()) or 'not named',
             entry['encoder']['type'].rpartition('.')[2] + (' with attention' if entry.get('attention') else ''),
             str(encoder.feature_dims[modality])) for modality, entry in encoder.modalities.items()]
    images = ', '.join(f'{modality}=encoder.transforms[{modality!r}](image_{modality})[None]' for modality in names)
    parts = [
        head, f'# {name}\n', 'Encoders of ' + ' and '.join(f'`{modality}`' for modality in names) + f', written by decur {__version__}.\n',
        markdown(('modality', 'channels', 'bands in order', 'encoder', 'feature length'), rows) + '\n',
        '## Use\n', f'```python\nimport decur\nencoder = decur.load(FOLDER)      # or hf://OWNER/{name}\ninputs = dict({images})\n'
        'features = encoder.extract_feat(inputs)     # {modality: (1, feature length)}\n```\n',
        'Images are arrays `(H, W, C)` with the bands above, in the units of the data; `transforms` does the preprocessing.\n',
        '## Preprocessing\n', *(_preprocessing(modality, entry) for modality, entry in encoder.modalities.items()),
        '## A checked example\n', "`example.safetensors` holds an image of each modality, what the encoder sees of it, and its feature. "
        '`decur.load` computes them again and refuses to load if they are not the same. A pixel of each image, and the first values of '
        'the feature:\n', _example_table(encoder, example),
        '## Data\n', ' '.join(filter(None, (data or _data(encoder), _published(encoder)))) + '\n', '## Results\n',
        (markdown(list(results[0]), [[str(value) for value in row.values()] for row in results]) if results else 'None were given.') + '\n',
        '## Licence\n', f'{licence}\n', '## Citation\n', f'```bibtex\n{_PAPER}\n```\n']
    if citation:
        parts.append(f'```bibtex\n{citation}\n```\n')
    return '\n'.join(parts)


def _preprocessing(name: str, entry: Mapping) -> str:
    """One modality's steps in words and numbers."""
    lines = [f'`{name}`:\n']
    for step in entry.get('radiometry') or ():
        arguments = {key: value for key, value in step.items() if key != 'type'}
        text = f'- {_STEPS.get(step["type"], step["type"])}' + (f' (`{arguments}`)' if arguments else '')
        lines.append(text)
        if step['type'] == 'ToEightBit':
            chosen = step.get('bands')
            if step.get('statistics'):
                known = STATISTICS[step['statistics']]
                table = [row for band in chosen or known.bands for row in zip(*known) if row[0] == band]
            else:
                table = list(zip(entry.get('bands') or range(1, len(step['mean']) + 1), step['mean'], step['std']))
            lines.append('  ' + '; '.join(f'{band} mean {mean:g}, std {std:g}' for band, mean, std in table))
    if encoder_order(entry) == [2, 1, 0]:
        lines.append('- channels in reverse order')
    mean, std = (values.reshape(-1).tolist() for values in statistics(entry))
    lines.append(f'- minus mean {_numbers(mean)}, divided by standard deviation {_numbers(std)}' if entry.get('mean') is not None
                 or entry.get('std') is not None else '- nothing else')
    meta = entry.get('meta') or {}
    if meta.get('missing'):
        absent = [band for band in meta['trained_bands'] if band not in entry['bands']]
        lines.append(f'- trained with {", ".join(absent)} too; here `{meta["missing"]}` stands for them')
    return '\n'.join(lines) + '\n'


#: Steps of radiometry in words.
_STEPS = {
    'RemoveOffset': 'minus 1000 where band 10 shows the offset of newer Sentinel-2 products',
    'CutOutliers': 'the lowest and highest values of each band cut (2 % together unless said otherwise)',
    'ToEightBit': 'mean ± 2 standard deviations to 0..255, whole numbers',
    'PercentilesToEightBit': '1st to 99th percentile of the image to 0..255, whole numbers',
    'InsertEmptyBand': 'an empty band inserted',
}


def _numbers(values: Sequence) -> str:
    values = [f'{value:g}' for value in values]
    return values[0] if len(set(values)) == 1 else f'({", ".join(values)})'


def _example_table(encoder, example: Mapping) -> str:
    rows = []
    for name in encoder.modalities:
        image, seen, feature = (example[f'{kind}.{name}'].to(torch.float64) for kind in ('image', 'seen', 'feature'))
        row, column = image.shape[0] // 3, image.shape[1] // 3
        given, seen = image[row, column], seen[:, row, column]
        rows.append((f'`{name}`', ' x '.join(map(str, image.shape)), f'{row}, {column}',
                     *(', '.join(f'{value:.4g}' for value in values) for values in (given, seen, feature[:4]))))
    return markdown(('modality', 'image', 'row, column', 'given', 'seen by the encoder', 'feature'), rows) + '\n'


def _published(encoder) -> str:
    """Which published weights the encoders are, where they were loaded by name."""
    names = dict.fromkeys(meta['weights'] for meta in encoder.metadata.values() if meta.get('weights'))
    return f'The weights are the published {" and ".join(names)}.' if names else ''


def _data(encoder) -> str:
    said = [f'`{name}`: {meta["data"]}' + (f' (licence: {meta["licence"]})' if meta.get('licence') else '')
            for name, meta in encoder.metadata.items() if meta.get('data')]
    return '; '.join(said) + '.' if said else 'Not said.'
