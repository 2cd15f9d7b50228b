"""The one line with which a command ends."""
import logging

import pytest

from decur.errors import exit_on_bad_input


@pytest.mark.parametrize('how', ['file', 'log'])
def test_a_write_that_fails_names_its_file(how, capsys, monkeypatch):
    """The error of a write on a full disk does not say where; /dev/full is such a disk."""

    def write():
        if how == 'file':
            with open('/dev/full', 'w') as file:
                file.write('x')
        else:
            handler = logging.FileHandler('/dev/full')
            handler.stream.write('x')
            handler.stream.flush()

    monkeypatch.delenv('TORCHELASTIC_ERROR_FILE', raising=False)
    with pytest.raises(SystemExit) as ended, exit_on_bad_input():
        write()
    assert ended.value.code == 1
    assert capsys.readouterr().err == ('error: /dev/full: No space left on device. Free some space and run the same command again; '
                                       'a training goes on with --resume.\n')
