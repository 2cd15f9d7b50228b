"""A few tries of each experiment; `make campaign` does many. What must hold for all is in the records: ``good``."""
import os
import random
import signal
import time

import damaged
import faults
import hostile_runs
import machine
import pytest
import run
from damage import DAMAGES
from hostile import ATTACKS
from isolation import call
from kinds import KINDS, digest

from decur.errors import DataError

TRIES = 3


@pytest.fixture(scope='module')
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp('campaign')


def draw(group, kind, number):
    return random.Random(f'{group} {kind} test {number}')


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_files(kind, scratch):
    records = [damaged.experiment('damaged', kind, draw('damaged', kind, number), scratch) for number in range(TRIES)]
    assert not [record for record in records if not record['good']]


@pytest.mark.parametrize('kind', ATTACKS)
def test_hostile_files(kind, scratch):
    record = hostile_runs.experiment('hostile', kind, draw('hostile', kind, 0), scratch)
    assert record['good'], record


@pytest.mark.slow
@pytest.mark.parametrize('group, kind', [
    *(('killed', kind) for kind in faults.names('killed')), *(('signals', kind) for kind in faults.names('signals')),
    ('workers', 'prepare'), ('disk', 'train_epochs'), ('disk', 'prepare')])
def test_faults(group, kind, scratch):
    record = faults.experiment(group, kind, draw(group, kind, 0), scratch)
    assert record['good'], record


@pytest.mark.slow
@pytest.mark.parametrize('group, kind', [('full', 'prepare'), ('full', 'shared-memory'), ('load', 'readers'), ('load', 'twice-prepare')])
def test_a_full_or_busy_machine(group, kind, scratch):
    record = machine.experiment(group, kind, draw(group, kind, 0), scratch)
    if record['ended'] == machine.SKIPPED:
        pytest.skip(machine.SKIPPED)
    assert record['good'], record


def test_a_campaign_goes_on(scratch, monkeypatch, capsys):
    """Experiments that have a whole line are not made again."""
    made = []
    monkeypatch.setattr(damaged, 'names', lambda group: ['png'])
    monkeypatch.setattr(damaged, 'experiment', lambda group, kind, rng, folder: made.append(rng.random()) or dict(ended='clear', good=True))
    monkeypatch.setattr('sys.argv', ['run.py', '--groups', 'damaged', '--tries', '4', '--out', str(scratch / 'on')])
    path = scratch / 'on' / 'experiments.jsonl'
    for lines, expected in ((2, 4), (4, 6), (4, 6)):
        with pytest.raises(SystemExit) as ended:
            run.main()
        assert ended.value.code == 0 and 'clear 4' in capsys.readouterr().out and len(made) == expected
        kept = path.read_text().splitlines()
        path.write_text('\n'.join(kept[:lines]) + ('\n' + kept[-1][:20] if lines == 4 else '\n'))
    assert len(set(made)) == 4


def test_every_damage_changes_a_file():
    data = bytes(range(256)) * 20
    for name, damage in DAMAGES.items():
        assert any(damage(data, random.Random(i)) != data for i in range(3)), name


def test_every_ending_is_told_apart():
    """The measure itself: what an isolated call says of each way to end."""
    def fail(error):
        def function():
            raise error
        return function

    assert call(lambda: 'x').status == 'returned'
    assert call(fail(DataError('a file'))).status == 'clear' and call(fail(DataError('two\nlines'))).status == 'lines'
    assert call(fail(KeyError('k'))).status == 'bare'
    assert call(lambda: os.kill(os.getpid(), signal.SIGKILL)).status == 'died'
    assert call(lambda: time.sleep(60), seconds=0.2).status == 'hung'
    assert call(lambda: len(bytearray(1 << 31)), memory=1 << 30).status == 'memory'
    assert call(lambda: len(bytearray(b'x') * (500 << 20))).peak > 150 << 20
    assert digest(dict(a=[1, 2])) != digest(dict(a=[1, 3])) and digest('12') != digest(['1', '2'])
