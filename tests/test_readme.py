"""The README's example and its training commands run as written; tests/pages.py says where its other commands are run.

Commands that train get options appended that scale them down; nothing in them is replaced but the number of processes.
"""
import re
import shlex

import pytest
from helpers import ROOT, run_code, run_tool, write_pairs
from train_options import OPTIONS, port

README = (ROOT / 'README.md').read_text(encoding='utf-8')
#: Where the config for one's own data is.
OWN_DATA = (ROOT / 'docs' / 'tutorials' / 'own_sensors.md').read_text(encoding='utf-8')


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', README, re.S)


def commands():
    lines = [line.split(' #')[0].strip() for block in blocks('bash') for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith('#')]


def test_the_features_example_runs_as_written_and_prints_the_stated_shapes():
    code = next(block for block in blocks('python') if 'extract_feat' in block)
    done = run_code(code)
    assert done.returncode == 0, done.stderr
    assert "{'rgb': (2, 2048), 'hha': (2, 2048)}" in done.stdout
    assert len(code.splitlines()) <= 5, 'the title says five'


def test_the_own_data_example_trains_on_such_data(tmp_path):
    """The config that the tutorial on own sensors has, on GeoTIFFs laid out as it says."""
    code = re.search(r'```python title="sar_optical.py"\n(.*?)```', OWN_DATA, re.S)[1].replace('sites', 'mine')
    write_pairs(tmp_path / 'mine', ids=[f'tile_{i:03}' for i in range(8)], size=(64, 64))
    (tmp_path / 'mine' / 'train.txt').write_text('\n'.join(f'tile_{i:03}' for i in range(8)))
    assert len(code.splitlines()) <= 25
    config = tmp_path / 'sar_optical.py'
    config.write_text(code)
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'run', '--cfg-options',
             f'train_dataloader.dataset.data_root={tmp_path / "mine"}', 'train_dataloader.batch_size=4',
             'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
             'model.neck.hid_channels=32', 'model.neck.out_channels=32', 'model.head.common_dim=24', 'train_cfg.max_epochs=1',
             *(f'modalities.{m}.encoder.depth=18' for m in ('sar', 'optical')))
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()


@pytest.fixture(scope='module')
def rooms(tmp_path_factory):
    root = tmp_path_factory.mktemp('rooms')
    run_tool('tools/generate_dataset.py', 'rooms', root, '--num-train', 4, '--num-test', 1, '--size', 48, 48, '--workers', 1)
    return root


@pytest.mark.slow
def test_the_training_commands_run_as_written(rooms, tmp_path):
    run = [line for line in commands() if line.startswith(('tools/dist_train', 'python tools/train'))]
    assert len(run) == 3
    for line in run:
        options = [o for o in OPTIONS if 'batch_size' not in o and 'max_epochs' not in o]
        command = ['2' if part == '8' else part for part in shlex.split(line.removeprefix('python '))]
        run_tool(*command, '--work-dir', tmp_path, '--cfg-options',
                 f'train_dataloader.dataset.data_root={rooms}', 'train_dataloader.batch_size=2',
                 f'train_cfg.max_epochs={2 if "resume" in line else 1}', *options, PORT=port())
    assert (tmp_path / 'epoch_2.pth').exists()
