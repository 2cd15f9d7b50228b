"""From scores to the numbers of tables."""
import pytest

from decur.evaluation import measures


def scores():
    """Two modalities, shape shared, a colour each, texture of a only; scores by hand."""
    factors = dict(shape=dict(kind='categorical', modalities=['a', 'b'], role='shared'),
                   colour_a=dict(kind='categorical', modalities=['a'], role='private'),
                   colour_b=dict(kind='categorical', modalities=['b'], role='private'),
                   texture_a=dict(kind='categorical', modalities=['a'], role='private'))
    table = {('a', 'common'): (0.8, 0.1, 0.0, 0.06), ('b', 'common'): (0.6, -0.01, 0.2, 0.01),
             ('a', 'unique'): (0.02, 0.3, 0.0, 0.3), ('b', 'unique'): (0.04, 0.0, 0.4, 0.0)}
    explained = [dict(modality=m, block=b, factor=f, score=s) for (m, b), values in table.items() for f, s in zip(factors, values)]
    probes = [dict(modality='a', representation='encoder', factor='shape', score=0.9),
              dict(modality='b', representation='encoder', factor='shape', score=0.7),
              dict(modality='a', representation='encoder', factor='colour_a', score=0.5)]
    return dict(factors=factors, explained=explained, probes=probes, alignment=[], cka=[], effective_rank=[])


def test_shares_add_up_over_factors_and_average_over_modalities():
    shares = measures.block_shares(scores())
    assert shares['common', 'shared'] == pytest.approx((0.8 + 0.6) / 2)
    assert shares['common', 'private'] == pytest.approx((0.16 + 0.2) / 2)
    assert shares['unique', 'private'] == pytest.approx((0.6 + 0.4) / 2)
    assert abs(shares['common', 'foreign']) < 0.01
    assert measures.factor_shares(scores())['unique', 'colour', 'private'] == pytest.approx(0.35)
    assert measures.probe_scores(scores())['shape'] == pytest.approx(0.8)
    numbers = measures.measures(scores())
    assert numbers['common: shared / private'] == pytest.approx(0.7 / 0.18)
    assert numbers['unique: private / shared'] == pytest.approx(0.5 / 0.03)
    assert measures.ratio(0.5, -0.001) == pytest.approx(0.5 / 0.005)  # chance does not make a ratio infinite


def test_interactions_with_a_private_factor_are_private():
    run = scores()
    run['interactions'] = [dict(modality='a', block='unique', factors=['shape', 'colour_a'], score=0.2),
                           dict(modality='a', block='unique', factors=['colour_a', 'texture_a'], score=0.1),
                           dict(modality='b', block='unique', factors=['shape', 'colour_b'], score=0.1)]
    shares = measures.block_shares(run)
    assert shares['unique', 'private, joint'] == pytest.approx(0.2)
    assert ('unique', 'shared, joint') not in shares
    assert measures.measures(run)['unique: private / shared, joint'] == pytest.approx((0.5 + 0.2) / 0.03)


def test_measures_of_geometry_are_means_over_modalities_and_pairs():
    run = dict(scores(), alignment=[
        dict(modality_a='a', modality_b=other, block='common', score=score, diagonal=2 * score, off_diagonal=0.1)
        for other, score in (('b', 0.2), ('c', 0.6))],
               cka=[dict(modality_a='a', block_a='common', modality_b='a', block_b='unique', score=0.3),
                    dict(modality_a='a', block_a='common', modality_b='b', block_b='common', score=0.8),
                    dict(modality_a='a', block_a='common', modality_b='b', block_b='unique', score=0.5)],
               effective_rank=[
                   dict(modality=name, representation='encoder', dims=64, score=score) for name, score in (('a', 20), ('b', 30))])
    numbers = measures.measures(run)
    assert numbers['diag(C) common'] == pytest.approx(0.4) and numbers['rms diagonal common'] == pytest.approx(0.8)
    assert numbers['effective rank: encoder'] == 25
    assert numbers['CKA common – unique, within'] == pytest.approx(0.3) and numbers['CKA common, across'] == pytest.approx(0.8)


def test_over_seeds_keeps_what_all_runs_have():
    first, second = scores(), scores()
    for row in second['explained']:
        row['score'] += 0.1
    second['probes'] = []
    found = measures.over_seeds([first, second])
    assert found['common: shared'].mean == pytest.approx(0.75)
    assert found['common: shared'].high - found['common: shared'].mean == pytest.approx(12.7062 * 0.05, rel=1e-4)  # t(0.975, 1)
    assert not any('probe' in name for name in found)
