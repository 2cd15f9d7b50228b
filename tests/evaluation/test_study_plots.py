"""Figures of the study."""
from decur.evaluation.intervals import Interval
from decur.evaluation.study_plots import plot_blocks, plot_sweep


def test_legends_name_roles_as_the_tables_do():
    value = Interval(0.5, 0.4, 0.6)
    row = {f'{block}: {role}': value for block in ('common', 'unique') for role in ('shared', 'partial', 'private')}
    row.update({f'encoder probe: {role}': value for role in ('shared', 'private')})
    for fig in (plot_blocks({'DeCUR': row}), plot_sweep({'25 %': row, '50 %': row}, 'share')):
        assert [t.get_text() for t in fig.axes[0].get_legend().get_texts()] == ['shared', 'pair', 'private']
