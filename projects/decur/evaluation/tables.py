"""Tables of figures as text: Markdown for documents, aligned columns for the terminal."""
import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = False) -> str:
    """A Markdown table; with ``numbers`` all columns but the first are aligned to the right."""
    rule = '---|' + '---:|' * (len(head) - 1) if numbers else '---|' * len(head)
    return '\n'.join(['| ' + ' | '.join(head) + ' |', '|' + rule, *('| ' + ' | '.join(row) + ' |' for row in rows)])


def plain(head: Sequence[str], rows: Sequence[Sequence[str]], show_head: bool = True) -> str:
    """Columns for a terminal, all but the first aligned to the right."""
    table = Table(box=None, show_header=show_head, pad_edge=False, padding=(0, 2, 0, 0))
    for i, title in enumerate(head):
        table.add_column(title, justify='right' if i else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out = io.StringIO()
    # As wide as the table is, whatever the terminal; names in [brackets] are no markup.
    Console(file=out, width=10**4, color_system=None, markup=False, highlight=False).print(table)
    return '\n'.join(line.rstrip() for line in out.getvalue().splitlines())
