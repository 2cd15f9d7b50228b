"""Steps of the drivers: done once, and a step that fails says why."""
import pytest
import steps

SCRIPT = '''
import sys
from pathlib import Path
Path(sys.argv[1]).write_text('x') if sys.argv[2] == 'make' else None
print('a line')
sys.exit('error: s1.tif does not exist.' if sys.argv[2] == 'refuse' else 3 if sys.argv[2] == 'die' else 0)
'''


def test_a_step_is_done_once_and_says_why_it_failed(tmp_path, capfd):
    (tmp_path / 'step.py').write_text(SCRIPT)
    done = tmp_path / 'out' / 'made.json'

    def run(what):
        steps.run_step(tmp_path / 'step.py', done, what, done=done)

    for what, words in (('refuse', r'^error: s1.tif does not exist\.$'), ('die', r'(?s)^error: \S+step.py failed.*made.log:\na line\n$'),
                        ('nothing', '^error: .*ended without writing')):
        with pytest.raises(SystemExit, match=words):
            run(what)
    run('make')
    run('refuse')  # not run
    assert 'done before' in capfd.readouterr().out and done.with_suffix('.log').read_text() == 'a line\n'
