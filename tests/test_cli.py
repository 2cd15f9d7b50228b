"""Arguments that the tools share are checked when they are parsed, before anything is read or computed."""
import pytest

from decur.cli import add_argument, make_parser
from decur.engine.options import OptionText
from decur.errors import ConfigError


def test_values_that_are_possible_are_taken(tmp_path):
    parser = make_parser('', 'device', 'out', 'seed')
    args = parser.parse_args(['--out', str(tmp_path / 'new' / 'a.json'), '--device', 'cpu'])
    assert args.out == str(tmp_path / 'new' / 'a.json') and (tmp_path / 'new').is_dir() and not (tmp_path / 'new' / 'a.json').exists()
    assert args.device == 'cpu' == parser.parse_args([]).device and parser.parse_args([]).out is None and args.seed is None


@pytest.mark.parametrize('argv, says', [
    (['--device', 'cuda:99'], '--device cuda:99: this machine has no such GPU'),
    (['--device', 'gpu'], '--device gpu: no such kind of device; give cpu, cuda or cuda:N'),
    (['--out', '.'], '. is a folder; give the name of a file'),
])
def test_values_that_are_not_end_at_once(argv, says):
    parser = make_parser('', 'out')
    add_argument(parser, 'device', help='where')
    with pytest.raises(ConfigError, match=says):
        parser.parse_args(argv)


def test_options_are_kept_as_they_are_typed(capsys):
    parser = make_parser('', 'cfg-options')
    assert parser.parse_args([]).cfg_options == {}
    options = parser.parse_args(['--cfg-options', 'a.b=1e5', 'c=/my data,x', '--cfg-options', 'd=x=y']).cfg_options
    assert options == {'a.b': '1e5', 'c': '/my data,x', 'd': 'x=y'} and all(isinstance(value, OptionText) for value in options.values())
    for wrong in ('a', '=1'):
        with pytest.raises(SystemExit):
            parser.parse_args(['--cfg-options', wrong])
        assert f"--cfg-options takes KEY=VALUE, got '{wrong}'" in capsys.readouterr().err
