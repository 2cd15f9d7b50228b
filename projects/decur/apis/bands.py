"""Encoders for images with other bands than the weights were trained on, by name."""
import logging
from collections.abc import Mapping, Sequence

import torch
from mmengine.logging import print_log

from ..errors import ConfigError, WeightsError, check_choice
from ..modalities import encoder_order, statistics
from ..sensors import STATISTICS, band_name
from ..weights.bands import RULES, change_first_layer, match_bands


def change_bands(encoder, bands: Mapping | Sequence[str], missing: str | None = None, reference=None) -> tuple:
    """The entries and the weights of encoders for other bands.

    Args:
        encoder (LoadedEncoder): As trained.
        bands (dict[str, Sequence[str]] | Sequence[str]): Bands of the images by modality, in their order; of a single modality as they
            are.
        missing (str, optional): What stands for bands of the weights that are not among them: ``'drop'``, ``'mean'`` or ``'estimate'``
            (:mod:`decur.weights.bands`). Needed where there are such.
        reference (Sequence[ndarray] | dict, optional): For ``'estimate'``: images ``(H, W, C)`` with all bands of the weights, in the units
            of the data; by modality where several are estimated. The absent bands are regressed on the others over their pixels.

    Returns:
        tuple[dict, dict]: Entries by modality, and the state dict of the backbone.

    Raises:
        WeightsError: If a band is not among those of the weights, or bands are missing and there is no rule or none that can be applied.
        ConfigError: If the rule is unknown, or modalities and bands do not fit.
    """
    if missing is not None:
        check_choice('missing', missing, RULES)
    if not isinstance(bands, Mapping):
        if len(encoder.modalities) > 1 or isinstance(bands, str):
            raise ConfigError(f'bands must name them by modality ({list(encoder.modalities)}): bands=dict(NAME=(...)), got {bands!r}.')
        bands = {next(iter(encoder.modalities)): bands}
    entries, state = dict(encoder.modalities), dict(encoder.backbone.state_dict())
    for name, wanted in bands.items():
        if name not in entries:
            raise ConfigError(f'bands names modality {name!r}; there are {list(entries)}.')
        entry, wanted = entries[name], [str(band) for band in wanted]
        if not entry.get('bands'):
            raise WeightsError(f'modality {name!r} of the weights has no names of its {entry["channels"]} bands, so none can be chosen by '
                               'name.')
        order = encoder_order(entry)
        places, absent = match_bands([entry['bands'][i] for i in order], wanted, f'modality {name!r}')
        absent_names = [entry['bands'][order[i]] for i in absent]
        if absent and missing is None:
            raise WeightsError(f'modality {name!r}: the weights were trained on {", ".join(absent_names)} too. Say what stands for them: '
                               "missing='drop' (nothing), 'mean' (the mean of each) or 'estimate' (an estimate from the other bands; needs "
                               'reference=, images that have them all).')
        weights = offset = None
        found = {}
        if absent and missing == 'mean':
            offset = torch.tensor([_normalized_mean(entry, i, name) for i in absent])
        elif absent and missing == 'estimate':
            images = reference.get(name) if isinstance(reference, Mapping) else reference
            weights, offset, shares = _regress(encoder.transforms[name], images, places, absent, name)
            found = dict(estimated=dict(zip(absent_names, shares)))
        prefix = f'streams.{name}.encoder.'
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        state.update({f'{prefix}{key}': value for key, value in change_first_layer(own, places, absent, weights, offset).items()})
        entries[name] = _entry(entry, wanted, places, name)
        entries[name]['meta'] = dict(entry.get('meta') or {}, trained_bands=list(entry['bands']), **found,
                                     **(dict(missing=missing) if absent else {}))
    return entries, state


def _entry(entry: Mapping, wanted: Sequence[str], places: Sequence, name: str) -> dict:
    """The entry with the wanted bands alone, in their order, in which the encoder sees them too."""
    out = {key: value for key, value in entry.items() if key not in ('channel_order', 'reader', 'files')}
    out.update(channels=len(wanted), bands=list(wanted))
    if isinstance(out.get('encoder'), Mapping):
        out['encoder'] = {key: value for key, value in out['encoder'].items() if key != 'in_channels'}
    for key, values in zip(('mean', 'std'), statistics(entry)):
        if entry.get(key) is not None:
            out[key] = [float(values[place[0]]) for place in places]
    out['radiometry'] = _radiometry(entry, list(wanted), name)
    return out


def _radiometry(entry: Mapping, wanted: list, name: str) -> list:
    """The steps of an entry's radiometry for the wanted bands."""
    steps = [dict(step) for step in entry.get('radiometry') or ()]
    # The bands before each step: one of them may insert a band that is not in the files.
    before = [[band_name(band) for band in entry['bands']]]
    for step in reversed(steps):
        index = step.get('index', 10)
        before.insert(0, before[0][:index] + before[0][index + 1:] if step['type'] == 'InsertEmptyBand' else before[0])
    asked = [band_name(band) for band in wanted]
    out = []
    for have, step in zip(before, steps):
        current = [band for band in asked if band in have]
        if step['type'] == 'ToEightBit':
            if step.get('statistics') is not None:
                known = {band_name(band) for band in step.get('bands') or STATISTICS[step['statistics']].bands}
                if not set(current) <= known:
                    raise WeightsError(f'modality {name!r}: the statistics {step["statistics"]!r} have no bands '
                                       f'{sorted(set(current) - known)}.')
                step['bands'] = current
            else:
                for key in ('mean', 'std'):
                    step[key] = [step[key][have.index(band)] for band in current]
        elif step['type'] == 'RemoveOffset':
            band10 = have[step.get('band', 10)]
            if band10 not in current:
                print_log(f'modality {name!r}: without band {band10} nothing tells whether images carry the offset of 1000 of newer '
                          'Sentinel-2 products; give images without it.', logger='current', level=logging.WARNING)
                continue
            step['band'] = current.index(band10)
        elif step['type'] == 'InsertEmptyBand':
            inserted = next(iter(set(asked) - set(current)), None)
            if inserted is None:
                continue
            step['index'] = asked.index(inserted)
        elif step['type'] not in ('CutOutliers', 'PercentilesToEightBit'):
            raise WeightsError(f'modality {name!r}: the step {step["type"]} of its radiometry cannot be changed to other bands.')
        out.append(step)
    return out


def _normalized_mean(entry: Mapping, place: int, name: str) -> float:
    """The mean of a band in training, in the values that the encoder sees; ``place`` in its order."""
    mean, std = (float(values[place]) for values in statistics(entry))
    steps = [step['type'] for step in entry.get('radiometry') or ()]
    if 'ToEightBit' in steps:  # the mean is the middle of 0..255, rounded down
        return (127 - mean) / std
    if 'PercentilesToEightBit' in steps or entry.get('mean') is None:
        raise WeightsError(f"modality {name!r}: the mean of its bands is not known. Use missing='drop' or 'estimate'.")
    return 0.


def _regress(transform, images, places: Sequence, absent: Sequence[int], name: str) -> tuple:
    """Least squares of the absent bands on the wanted ones, in normalised values.

    Returns:
        tuple[Tensor, Tensor, list[float]]: ``(M, K)`` and ``(M, )``; and the share of each band's variance that is explained.
    """
    if images is None or not len(images):
        raise WeightsError(f"missing='estimate' needs reference=: images (H, W, {transform.entry['channels']}) of modality {name!r} that "
                           'have all bands of the weights.')
    pixels = torch.cat([transform(image).flatten(1).double() for image in images], 1)
    known = torch.stack([pixels[place[0]] for place in places] + [torch.ones(pixels.shape[1], dtype=torch.float64)], 1)
    if pixels.shape[1] < 10 * known.shape[1]:
        raise WeightsError(f'reference= of modality {name!r} has {pixels.shape[1]} pixels; at least {10 * known.shape[1]} are needed to '
                           'estimate bands.')
    target = pixels[list(absent)].T
    solution = torch.linalg.lstsq(known, target, driver='gelsd').solution
    left = (target - known @ solution).square().mean(0)
    shares = (1 - left / target.var(0, unbiased=False).clamp(min=1e-12)).clamp(min=0)
    return solution[:-1].T, solution[-1], [round(float(share), 4) for share in shares]

