"""Progress: few lines in a log, a bar in a terminal."""
import io
import re
import threading

import pytest

from decur.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_now_and_then():
    file, now = io.StringIO(), [0.]
    with Progress(100, 'images', file=file) as bar:
        bar._time = lambda: now[0]  # tqdm's clock
        bar.start_t = bar.last_print_t = 0.
        for _ in range(100):
            now[0] += .5
            bar.update()
    lines = file.getvalue().splitlines()
    assert len(lines) == 6 and '\r' not in file.getvalue()  # 50 s: five lines and the sum
    assert lines[1] == 'images: 40/100 (40 %), 2.00/s, 00:20 elapsed, ETA 00:30'
    assert lines[-1] == 'images: 100/100 (100 %), 2.00/s, 00:50 elapsed, ETA 00:00'


def test_an_error_before_anything_is_done_is_all_that_is_said():
    for done, expected in ((0, []), (2, ['images: 2/3 (67 %)'])):
        file = io.StringIO()
        with pytest.raises(ValueError), Progress(3, 'images', file=file) as bar:
            for _ in range(done):
                bar.update()
            raise ValueError
        assert [line.partition(',')[0] for line in file.getvalue().splitlines()] == expected


def test_absolute_counts_and_unknown_totals():
    file = io.StringIO()
    with Progress(unit='MB', file=file) as bar:
        bar.advance(8)
        bar.advance(3)
    assert re.fullmatch(r'8 MB, .* MB/s, 00:00 elapsed', file.getvalue().splitlines()[-1])


def test_a_terminal_gets_the_bar_and_no_thread_is_started():
    """Worker processes are forked while a bar is shown."""
    file, before = Terminal(), threading.active_count()
    with Progress(3, 'images', file=file) as bar:
        for _ in range(3):
            bar.update()
        assert threading.active_count() == before
    assert 'images' in file.getvalue() and '3/3' in file.getvalue() and '\r' in file.getvalue()
