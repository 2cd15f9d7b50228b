"""From the scores of one run on known factors to the numbers that tables show, and from runs to means with intervals.

The rows come from :func:`~decur.evaluation.collect.score_model`. ``pandas`` comes with ``pip install decur[explain]``.
"""
from collections.abc import Mapping, Sequence

import pandas as pd

from .intervals import t_interval


def block_shares(scores: Mapping) -> dict:
    """Share of variance by block and role, averaged over the modalities.

    Factors are independent, so their shares add up. The roles:

    - ``shared``: the sum over the factors that all modalities show;
    - ``partial``: over those that this modality shares with some of the others;
    - ``private``: over those that it shows alone;
    - ``foreign``: over those that it does not show, which is chance;
    - ``shared, joint`` and ``private, joint``: over the interactions of two factors. One private factor makes an interaction private,
      since no other modality can predict it.

    Returns:
        dict: {(block, role): share}.
    """
    rows = []
    for row in scores['explained']:
        factor = scores['factors'][row['factor']]
        rows.append((row['block'], factor['role'] if row['modality'] in factor['modalities'] else 'foreign', row['modality'], row['score']))
    for row in scores.get('interactions', ()):
        private = any(scores['factors'][name]['role'] == 'private' for name in row['factors'])
        rows.append((row['block'], 'private, joint' if private else 'shared, joint', row['modality'], row['score']))
    table = pd.DataFrame(rows, columns=['block', 'role', 'modality', 'score'])
    by_modality = table.groupby(['block', 'role', 'modality'], sort=False).score.sum()
    return by_modality.groupby(['block', 'role'], sort=False).mean().to_dict()


def factor_shares(scores: Mapping) -> dict:
    """Share of variance by block and attribute, averaged over the modalities that show it: {(block, attribute, role): share}.

    The attribute is the first part of a factor's name: ``colour`` of ``colour_optical`` and ``colour_radar``.
    """
    factors = scores['factors']
    rows = [(row['block'], _attribute(row['factor']), factors[row['factor']]['role'], row['score']) for row in scores['explained']
            if row['modality'] in factors[row['factor']]['modalities']]
    table = pd.DataFrame(rows, columns=['block', 'attribute', 'role', 'score'])
    return table.groupby(['block', 'attribute', 'role'], sort=False).score.mean().to_dict()


def probe_scores(scores: Mapping, representation: str = 'encoder') -> dict:
    """Probes by attribute and by role, averaged over the modalities that show it: {attribute or role: score}.

    An attribute that is shared by some modalities and private to another is given by role too, as ``attribute (role)``.
    """
    factors, roles = scores['factors'], {}
    for name, factor in factors.items():
        roles.setdefault(_attribute(name), set()).add(factor['role'])
    rows = []
    for row in scores['probes']:
        if row['representation'] == representation:
            role, attribute = factors[row['factor']]['role'], _attribute(row['factor'])
            by_role = [f'{attribute} ({role})'] if len(roles[attribute]) > 1 else []
            rows += [(key, row['score']) for key in dict.fromkeys((role, attribute, *by_role))]
    return _means(rows)


def _attribute(factor: str) -> str:
    return factor.split('_')[0]


def _means(rows: Sequence[tuple]) -> dict:
    """Means of (name, value) rows by name, in the order of first appearance."""
    return pd.DataFrame(rows, columns=['name', 'value']).groupby('name', sort=False).value.mean().to_dict()


def ratio(numerator: float, denominator: float) -> float:
    """How many times more; a share below 0.005 counts as that much, since it is within the noise of chance."""
    return max(numerator, 0.0) / max(denominator, 0.005)


def measures(scores: Mapping) -> dict:
    """The numbers of one run that the tables show: {name: value}, where a run has them."""
    shares = block_shares(scores)
    out = {f'{block}: {role}': value for (block, role), value in shares.items()}
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
    rows = []
    for row in scores['alignment']:
        rows += [(f'diag(C) {row["block"]}', row['score'])]
        rows += [(f'rms {name} {row["block"]}', row[name]) for name in ('diagonal', 'off_diagonal')]
    rows += [(f'effective rank: {row["representation"]}', row['score']) for row in scores['effective_rank']]
    for row in scores['cka']:
        if row['modality_a'] == row['modality_b']:
            rows.append(('CKA common – unique, within', row['score']))
        elif row['block_a'] == row['block_b']:
            rows.append((f'CKA {row["block_a"]}, across', row['score']))
    return {**out, **_means(rows)}


def over_seeds(runs: Sequence[Mapping]) -> dict:
    """{measure: mean with its 95 % t interval over the seeds}, of the measures that all runs have."""
    all_measures = [measures(run) for run in runs]
    names = [name for name in all_measures[0] if all(name in m for m in all_measures)]
    return {name: t_interval([m[name] for m in all_measures]) for name in names}
