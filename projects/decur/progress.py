"""Progress of long jobs: tqdm's bar in a terminal, a line now and then in a log."""
import sys

from tqdm import tqdm

_LINE = '{desc}{n_fmt}/{total_fmt}{unit} ({percentage:.0f} %), {rate_noinv_fmt}, {elapsed} elapsed, ETA {remaining}'
_LINE_WITHOUT_TOTAL = '{desc}{n_fmt}{unit}, {rate_noinv_fmt}, {elapsed} elapsed'


class _Lines:
    """A file in which what tqdm would draw over itself stands line by line."""

    def __init__(self, file):
        self.file = file

    def write(self, text: str) -> None:
        line = ' '.join(text.split())  # without carriage returns and padding
        if line:
            self.file.write(f'{line}\n')

    def flush(self) -> None:
        self.file.flush()


class Progress(tqdm):
    """tqdm with the settings of this project; to be used in a ``with`` statement, whose end shows the sum.

    In a terminal this is tqdm's bar. Anywhere else, where its carriage returns would fill a log file, a line is printed at most every
    ``every`` seconds, and at the end; none if an error ends the work before anything is done, so that the error is all that is said.

    Args:
        total (int): How much there is to do; 0 if that is not known.
        title (str): What is counted, at the start of each line.
        unit (str): The unit of the count (``'MB'``). Defaults to none.
        every (float): Seconds between lines outside a terminal. Defaults to 10.
        file (TextIO, optional): Where to. Defaults to standard output.
    """

    monitor_interval = 0  # tqdm's own thread: worker processes are forked while a bar is shown

    def __init__(self, total: int = 0, title: str = '', unit: str = '', every: float = 10., file=None):
        file = file or sys.stdout
        form = _LINE if total else _LINE_WITHOUT_TOTAL
        options = dict(total=int(total) or None, desc=f'{title}: ' if title else None, unit=f' {unit}' if unit else '')
        self._in_lines = not file.isatty()
        if not self._in_lines:
            super().__init__(file=file, dynamic_ncols=True, **options)
        else:
            # With any delay tqdm shows nothing at the start.
            super().__init__(file=_Lines(file), mininterval=every, miniters=1, bar_format=form, delay=1e-9, **options)

    def __exit__(self, kind, *rest) -> None:
        """Show the sum, unless there is none and an error."""
        self.disable |= kind is not None and not self.n and self._in_lines
        super().__exit__(kind, *rest)

    def advance(self, done: int) -> None:
        """Say how much is done altogether; what is less than before, or the same, shows nothing."""
        if done > self.n:
            self.update(done - self.n)
