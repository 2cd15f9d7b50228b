"""Tables as text."""
from decur.evaluation.missing import format_table
from decur.evaluation.tables import markdown, plain


def test_markdown():
    assert markdown(['a', 'b'], [['x', '1'], ['y', '']]).splitlines() == ['| a | b |', '|---|---|', '| x | 1 |', '| y |  |']
    assert markdown(['a', 'b', 'c'], [], numbers=True).splitlines()[1] == '|---|---:|---:|'


def test_plain_columns_are_aligned_and_nothing_is_cut_or_taken_for_markup():
    name = '[red]' + 'x' * 300
    lines = plain(['name', 'mIoU'], [[name, '1.00'], ['b', '22.00']]).splitlines()
    assert lines == [f'{"name":{len(name)}}   mIoU', f'{name}   1.00', f'{"b":{len(name)}}  22.00']
    assert plain(['', ''], [['a', '1']], show_head=False) == 'a  1'


def test_table_of_missing_modalities():
    results = {'rgb+hha': {'mIoU': 50., 'aAcc': 70.125, 'IoU.wall': 60., 'IoU.night stand': 40.},
               'rgb': {'mIoU': 5.5, 'aAcc': 7., 'IoU.wall': 6., 'IoU.night stand': float('nan')}}
    assert format_table(results).splitlines() == [
        'modalities   mIoU   aAcc', 'rgb+hha     50.00  70.12', 'rgb          5.50   7.00', '',
        'IoU by class  rgb+hha   rgb', 'wall            60.00  6.00', 'night stand     40.00   nan']
