"""Progress: few lines in a log, a bar in a terminal."""
import io

from decur import progress
from decur.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    now = [0.]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    file = io.StringIO()
    with Progress(100, 'images', file=file) as bar:
        for _ in range(100):
            now[0] += .5
            bar.update()
    lines = file.getvalue().splitlines()
    assert len(lines) == 6 and '\r' not in file.getvalue()  # 50 s: five lines and the sum
    assert lines[1] == 'images: 40/100 (40 %), 2.0/s, 0:00:20 elapsed, ETA 0:00:30'
    assert lines[-1] == 'images: 100/100 (100 %), 2.0/s, 0:00:50 elapsed, ETA 0:00:00'


def test_absolute_counts_and_unknown_totals(monkeypatch):
    now = [0.]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    file = io.StringIO()
    with Progress(unit='MB', file=file) as bar:
        now[0] = 4.
        bar.advance(8)
        bar.advance(3)
    assert file.getvalue() == '8 MB, 2.0 MB/s, 0:00:04 elapsed\n'


def test_a_terminal_gets_the_bar():
    file = Terminal()
    with Progress(3, file=file) as bar:
        for _ in range(3):
            bar.update()
    assert '3/3' in file.getvalue() and '\r' in file.getvalue()
