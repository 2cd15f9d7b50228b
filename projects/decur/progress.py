"""Progress of long jobs: a bar in a terminal, a line now and then in a log."""
import sys
import time

from mmengine.utils import ProgressBar


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + .5), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{seconds:02d}'


class Progress:
    """Count what is done; to be used in a ``with`` statement, whose end prints the sum.

    In a terminal this is MMEngine's bar. Anywhere else, where its carriage returns would fill a log file, at most one line is printed
    every ``every`` seconds: how much is done, the rate, and the time left where the total is known.

    Args:
        total (int): How much there is to do; 0 if that is not known.
        title (str): What is counted, at the start of each line.
        unit (str): The unit of the count (``'MB'``). Defaults to none.
        every (float): Seconds between lines.
        file (TextIO, optional): Where to. Defaults to standard output.
    """

    def __init__(self, total: int = 0, title: str = '', unit: str = '', every: float = 10., file=None):
        self.total, self.title, self.unit, self.every = int(total), title, unit, every
        self.file = file or sys.stdout
        self.done = 0
        self.start = self.last = time.monotonic()
        self.bar = ProgressBar(self.total, file=self.file) if self.file.isatty() else None

    def update(self, count: int = 1) -> None:
        """Count ``count`` more."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif time.monotonic() - self.last >= self.every:
            self._line()

    def advance(self, done: int) -> None:
        """Say how much is done altogether; what is less than before, or the same, shows nothing."""
        if done > self.done:
            self.update(done - self.done)

    def _line(self) -> None:
        self.last = time.monotonic()
        elapsed = max(self.last - self.start, 1e-9)
        rate = self.done / elapsed
        text = f'{self.title}: ' if self.title else ''
        unit = f' {self.unit}' if self.unit else ''
        if self.total:
            text += f'{self.done}/{self.total}{unit} ({100 * self.done / self.total:.0f} %)'
        else:
            text += f'{self.done}{unit}'
        text += f', {rate:.1f}{unit}/s, {_clock(elapsed)} elapsed'
        if self.total and self.done:
            text += f', ETA {_clock(max(0, self.total - self.done) / rate)}'
        print(text, file=self.file, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.bar is None:
            self._line()
        else:
            print(file=self.file, flush=True)
