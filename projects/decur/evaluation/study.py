"""The decoupling study: train, score, and compare objectives on controlled factors, seed by seed.

``tools/study.py`` calls :func:`run_one` for every run and seed of ``configs/decoupling/study.py`` and then :func:`summarise`.
"""
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from decur.binding import bind
from decur.errors import ConfigError, DataError
from decur.writing import write_bytes

from .collect import collect_representations
from .decoupling import decoupling_scores
from .intervals import Interval, t_interval


def score_model(model, dataset, common_dim: int | None, seed: int = 0, embeddings: bool = True) -> dict:
    """All decoupling scores of a model on a data set with known factors.

    Args:
        model: a :class:`~decur.models.MultimodalPretraining`.
        dataset: a :class:`~decur.synthetic.factors_dataset.FactorsDataset`.
        common_dim: number of common dimensions; None for objectives without.
        seed: of the probes' split.
        embeddings: False scores the encoder alone.

    Returns:
        dict: the tables of :func:`~decur.evaluation.decoupling.decoupling_scores`, and ``factors``: {factor: kind, modalities, role}.

    Raises:
        DataError: If the data set has no factors.
    """
    described = dataset.metainfo.get('factors')
    if not described:
        raise DataError(f'{type(dataset).__name__} has no known factors: use RenderedFactorsDataset or LinearGaussianDataset.')
    features, z, values = collect_representations(model, dataset, embeddings=embeddings)
    kinds, seen = ({name: f[key] for name, f in described.items()} for key in ('kind', 'modalities'))
    tables = decoupling_scores(z or features, values, kinds, common_dim if embeddings else None, features=features, seen=seen, seed=seed)
    return dict(factors={name: dict(f, modalities=list(f['modalities'])) for name, f in described.items()}, **tables)


def fingerprint(cfg: Config, seed: int, train: bool) -> str:
    """What a score depends on, so that a changed config is run again. Where results go does not count."""
    content = {key: value for key, value in cfg.to_dict().items() if key not in ('work_dir', 'log_level', 'launcher', 'default_hooks')}
    return hashlib.sha256(json.dumps([content, seed, train], sort_keys=True, default=str).encode()).hexdigest()[:16]


def stored_scores(cfg: Config, seed: int, folder: str | Path, train: bool = True) -> dict | None:
    """The scores of a finished run in ``folder``, if it was of this config and seed."""
    path = Path(folder) / 'scores.json'
    scores = json.loads(path.read_text()) if path.is_file() else {}
    return scores if scores.get('fingerprint') == fingerprint(cfg, seed, train) else None


def run_one(config: str | Path, seed: int, folder: str | Path, train: bool = True, options: Mapping | None = None) -> dict:
    """Train one config with one seed and score it; what is there already is read.

    Args:
        config: a config with ``score_dataset``.
        seed: of initialisation, data order and noise.
        folder: where ``scores.json`` goes; the training leaves its log and checkpoint there.
        train: False scores the random initialisation.
        options: overrides by dotted key.

    Returns:
        dict: the content of ``scores.json``; ``seconds`` are of processor time.
    """
    from mmengine.registry import MODELS
    from mmengine.runner import Runner, set_random_seed

    from decur.engine import load_config, prepare
    folder = Path(folder)
    cfg = load_config(str(config), options, str(folder))
    if 'score_dataset' not in cfg:
        raise ConfigError(f'{config} has no score_dataset: see configs/decoupling/decur_shapes.py.')
    earlier = stored_scores(cfg, seed, folder, train)
    if earlier:
        return earlier
    key = fingerprint(cfg, seed, train)
    start = time.process_time()
    cfg = prepare(cfg)
    cfg.merge_from_dict({'randomness.seed': seed, 'log_level': 'WARNING', 'experiment_name': f'{folder.parent.name}_{folder.name}_{key}'})
    if train:
        runner = Runner.from_cfg(cfg)
        model = runner.train()
        loss = float(runner.message_hub.get_scalar('train/loss').mean(window_size=20))
    else:
        init_default_scope(cfg.get('default_scope', 'mmpretrain'))
        set_random_seed(seed)
        model, loss = MODELS.build(bind(cfg).model), None
        model.init_weights()
    common = cfg.model.head.get('common_dim') if train else None
    scores = score_model(model, DATASETS.build(bind(cfg).score_dataset), common, seed)
    scores = dict(fingerprint=key, seed=seed, loss=loss, seconds=round(time.process_time() - start, 1), **scores)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / 'scores.json', json.dumps(scores).encode())
    return scores


# ------------------------------------------------------------------------------------------------ from scores to numbers
def block_shares(scores: Mapping) -> dict:
    """Share of variance by block and role, averaged over the modalities.

    Factors are independent, so their shares add up: ``shared`` is the sum over factors shared by all modalities, ``partial`` over those
    that this modality shares with some, ``private`` over its own. ``foreign`` (what it cannot see) is chance. ``interactions`` with at
    least one private factor are as private as the factor: no other modality can predict them; they are summed as ``private, joint``.

    Returns:
        dict: {(block, role): share}.
    """
    sums = {}
    for row in scores['explained']:
        factor = scores['factors'][row['factor']]
        role = factor['role'] if row['modality'] in factor['modalities'] else 'foreign'
        by_modality = sums.setdefault((row['block'], role), {})
        by_modality[row['modality']] = by_modality.get(row['modality'], 0.0) + row['score']
    for row in scores.get('interactions', ()):
        roles = {scores['factors'][name]['role'] for name in row['factors']}
        by_modality = sums.setdefault((row['block'], 'private, joint' if 'private' in roles else 'shared, joint'), {})
        by_modality[row['modality']] = by_modality.get(row['modality'], 0.0) + row['score']
    return {key: float(np.mean(list(by_modality.values()))) for key, by_modality in sums.items()}


def factor_shares(scores: Mapping) -> dict:
    """Share of variance by block and attribute in the modalities that show it: {(block, attribute, role): share}."""
    found = {}
    for row in scores['explained']:
        factor = scores['factors'][row['factor']]
        if row['modality'] in factor['modalities']:
            found.setdefault((row['block'], row['factor'].split('_')[0], factor['role']), []).append(row['score'])
    return {key: float(np.mean(values)) for key, values in found.items()}


def probe_scores(scores: Mapping, representation: str = 'encoder') -> dict:
    """Probes by attribute and by role, averaged over the modalities that show it: {attribute or role: score}.

    An attribute that is shared by some modalities and private to another is given by role too, as ``attribute (role)``.
    """
    found, roles = {}, {}
    for name, factor in scores['factors'].items():
        roles.setdefault(name.split('_')[0], set()).add(factor['role'])
    for row in scores['probes']:
        if row['representation'] == representation:
            role, attribute = scores['factors'][row['factor']]['role'], row['factor'].split('_')[0]
            by_role = [f'{attribute} ({role})'] if len(roles[attribute]) > 1 else []
            for key in dict.fromkeys((role, attribute, *by_role)):
                found.setdefault(key, []).append(row['score'])
    return {key: float(np.mean(values)) for key, values in found.items()}


def ratio(numerator: float, denominator: float, floor: float = 0.005) -> float:
    """How many times more; a share below the floor counts as the floor, since it is within the noise of chance."""
    return max(numerator, 0.0) / max(denominator, floor)


def measures(scores: Mapping) -> dict:
    """The numbers of one run that the tables show: {name: value}, where a run has them."""
    shares, out = block_shares(scores), {}
    for (block, role), value in shares.items():
        out[f'{block}: {role}'] = value
    if ('common', 'shared') in shares:
        out['common: shared / private'] = ratio(shares['common', 'shared'], shares['common', 'private'])
    if ('unique', 'shared') in shares:
        out['unique: private / shared'] = ratio(shares['unique', 'private'], shares['unique', 'shared'])
        out['unique: private / shared, joint'] = ratio(*(
            shares['unique', role] + shares.get(('unique', f'{role}, joint'), 0.0) for role in ('private', 'shared')))
    for representation in ('encoder', 'embedding', 'common', 'unique'):
        out.update({f'{representation} probe: {key}': value for key, value in probe_scores(scores, representation).items()})
    for (block, attribute, role), value in factor_shares(scores).items():
        out[f'{block}: {attribute} ({role})'] = value
    for block in ('common', 'unique', 'all'):
        diagonal = [row['score'] for row in scores['alignment'] if row['block'] == block]
        if diagonal:
            out[f'diag(C) {block}'] = float(np.mean(diagonal))
            for name in ('diagonal', 'off_diagonal'):
                out[f'rms {name} {block}'] = float(np.mean([row[name] for row in scores['alignment'] if row['block'] == block]))
    for name in ('encoder', 'embedding', 'common', 'unique'):
        ranks = [row['score'] for row in scores['rank'] if row['representation'] == name]
        if ranks:
            out[f'rank {name}'] = float(np.mean(ranks))
    related = {}
    for row in scores['cka']:
        if row['modality_a'] == row['modality_b']:
            related.setdefault('CKA common – unique, within', []).append(row['score'])
        elif row['block_a'] == row['block_b']:
            related.setdefault(f'CKA {row["block_a"]}, across', []).append(row['score'])
    out.update({name: float(np.mean(values)) for name, values in related.items()})
    return out


def over_seeds(runs: Sequence[Mapping]) -> dict:
    """{measure: mean with its 95 % t interval over the seeds}, of the measures that all runs have."""
    all_measures = [measures(run) for run in runs]
    names = [name for name in all_measures[0] if all(name in m for m in all_measures)]
    return {name: t_interval([m[name] for m in all_measures]) for name in names}


# ------------------------------------------------------------------------------------------------ from numbers to text
def format_interval(interval: Interval | None, digits: int = 2) -> str:
    """``0.71 ± 0.03``; the half width is that of the 95 % interval over seeds. An empty cell where there is nothing."""
    if interval is None:
        return ''
    if np.isnan(interval.low):
        return f'{interval.mean:.{digits}f}'
    return f'{interval.mean:.{digits}f} ± {interval.mean - interval.low:.{digits}f}'


def markdown_table(rows: Mapping[str, Mapping[str, Interval]], columns: Mapping[str, str], head: str) -> str:
    """A table with a row per run and a column per measure.

    Args:
        rows: {label: {measure: interval}}.
        columns: {measure: heading}; a measure that no row has is left out.
        head: heading of the first column.
    """
    columns = {name: title for name, title in columns.items() if any(name in row for row in rows.values())}
    digits = {name: 1 if '/' in name or name.startswith('rank') else 2 for name in columns}
    lines = [f'| {head} | ' + ' | '.join(columns.values()) + ' |', '|---|' + '---:|' * len(columns)]
    for label, row in rows.items():
        lines.append(f'| {label} | ' + ' | '.join(format_interval(row.get(name), digits[name]) for name in columns) + ' |')
    return '\n'.join(lines)


def replace_between(text: str, name: str, content: str) -> str:
    """Put ``content`` between ``<!-- name -->`` and ``<!-- /name -->`` of a document.

    Raises:
        ConfigError: If the document has no such place.
    """
    begin, end = f'<!-- {name} -->', f'<!-- /{name} -->'
    if begin not in text or end not in text:
        raise ConfigError(f'the document has no place {begin} ... {end}.')
    return text[:text.index(begin) + len(begin)] + '\n' + content.strip() + '\n' + text[text.index(end):]
