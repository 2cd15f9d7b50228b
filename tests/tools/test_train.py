"""The command lines of training and testing, as a user types them."""
import json
import os
import re
import shutil
import subprocess
import sys

import processes
import pytest
from helpers import ROOT, run_tool
from train_options import OPTIONS, port

CONFIG = 'configs/decur/decur_sunrgbd.py'
SEGMENTATION = 'configs/quickstart/rooms_rgb_small-resnet_frozen.py'


@pytest.fixture(scope='module')
def rooms(tmp_path_factory):
    root = tmp_path_factory.mktemp('rooms')
    run_tool('tools/generate_dataset.py', 'rooms', root, '--num-train', 48, '--num-test', 6, '--size', 48, 48, '--workers', 1)
    return root


def losses(work_dir) -> dict:
    """Loss by step, the last one logged where a step was repeated."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/*.json')):
        if path.name == 'config.json':
            continue
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if 'loss' in record:
                found[record['step']] = record['loss']
    return found


def one_line_error(done, message) -> bool:
    """A tool ended with status 1 and one line on standard error that says ``message``."""
    assert done.returncode == 1 and 'Traceback' not in done.stderr + done.stdout, done.stderr[-2000:]
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: ') and message in lines[0], lines
    return True


def two_processes(config, work_dir, *options, **kwargs):
    """A training on two processes that runs until the block ends."""
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', PORT=str(port()))
    return processes.started('tools/dist_train.sh', config, 2, '--work-dir', work_dir, *options, cwd=ROOT, env=environment,
                             stdout=subprocess.DEVNULL, **kwargs)


@pytest.mark.slow
def test_two_processes_stopped_half_way_go_on_to_the_same_weights(rooms, tmp_path):
    """SIGTERM in the middle of an epoch, then --resume from recent.pth: bit for bit the run that was not interrupted."""
    import torch

    from decur.weights import load_file
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={rooms}', *OPTIONS]
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    run_tool('tools/dist_train.sh', CONFIG, 2, '--work-dir', whole, *options, PORT=port())
    expected = losses(whole)
    assert len(expected) == 12  # 48 scenes, 2 processes of batch 8, 4 epochs

    with two_processes(CONFIG, broken, *options, stderr=subprocess.DEVNULL) as launcher:
        processes.wait_until(lambda: len(losses(broken)) >= 4, 200, 'the middle of the second epoch', launcher)
        launcher.terminate()
        assert launcher.wait(120) == 143
    assert (broken / 'last_checkpoint').read_text() == f'{broken}/recent.pth' and not (broken / 'epoch_4.pth').exists()
    assert 4 <= load_file(broken / 'recent.pth')['meta']['iter'] < 12

    run_tool('tools/dist_train.sh', CONFIG, 2, '--work-dir', broken, '--resume', *options, PORT=port())
    assert losses(broken) == expected
    one, other = (load_file(folder / 'epoch_4.pth')['state_dict'] for folder in (whole, broken))
    assert list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def test_one_process_and_bfloat16_train_the_same_config(rooms, tmp_path):
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={rooms}', *OPTIONS, 'train_cfg.max_epochs=1']
    for name, flags in (('float32', []), ('bfloat16', ['--amp'])):
        run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path / name, *flags, *options)
    single, half = losses(tmp_path / 'float32'), losses(tmp_path / 'bfloat16')
    assert len(single) == len(half) == 6
    assert single != half and all(abs(a - b) < 0.05 * a for a, b in zip(single.values(), half.values()))
    run_tool('tools/train.py', CONFIG, '--work-dir', tmp_path / 'board', *options, 'visualizer.vis_backends.0.type=TensorboardVisBackend')
    assert list((tmp_path / 'board').glob('*/vis_data/events.out.tfevents*'))


def test_segmentation_from_a_checkpoint_prints_miou_and_writes_pictures(rooms, tmp_path):
    """Pretrain, take the encoder by one config line, train frozen, test; the frozen encoder is the pretrained one."""
    import torch

    from decur.weights import load_file
    scale = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    run_tool('tools/train.py', 'configs/quickstart/rooms_rgb-hha_small-resnet_decur.py', '--work-dir', tmp_path / 'decur', '--cfg-options',
             f'train_dataloader.dataset.data_root={rooms}', 'train_dataloader.batch_size=24', 'train_cfg.max_epochs=1', *scale)
    pretrained = tmp_path / 'decur' / 'epoch_1.pth'
    config = 'configs/quickstart/rooms_rgb-hha_small-resnet_frozen.py'
    data = [f'{loader}_dataloader.dataset.data_root={rooms}' for loader in ('train', 'test')]
    run_tool('tools/train.py', config, '--work-dir', tmp_path / 'fcn', '--cfg-options', f'model.backbone.pretrained={pretrained}',
             'train_cfg.max_iters=2', 'default_hooks.checkpoint.interval=2', 'train_dataloader.dataset.num_samples=4',
             'train_dataloader.batch_size=4', *scale, *data)
    before, after = (load_file(path)['state_dict'] for path in (pretrained, tmp_path / 'fcn' / 'iter_2.pth'))
    streams = [key for key in before if key.startswith('backbone.streams.')]
    assert streams and all(torch.equal(before[key], after[key]) for key in streams)
    done = run_tool('tools/test.py', config, tmp_path / 'fcn' / 'iter_2.pth', '--work-dir', tmp_path / 'fcn',
                    '--out', tmp_path / 'metrics.json', '--show-dir', tmp_path / 'show', '--cfg-options', 'test_dataloader.num_workers=0',
                    'test_dataloader.persistent_workers=False', 'test_dataloader.batch_size=3', *data)
    printed = float(re.search(r'mIoU: ([\d.]+)', done.stdout + done.stderr)[1])
    assert json.loads((tmp_path / 'metrics.json').read_text())['mIoU'] == pytest.approx(printed, abs=0.01)
    assert len(list((tmp_path / 'show' / 'predictions').glob('*.png'))) == len(list((tmp_path / 'show' / 'pictures').glob('*.png'))) == 6


@pytest.mark.parametrize('command, message', [
    (['tools/train.py', 'configs/no_such.py'], "config 'configs/no_such.py' does not exist"),
    (['tools/test.py', CONFIG, 'x.pth'], 'has no test_dataloader'),
    (['tools/train.py', CONFIG, '--cfg-options', 'train_dataloader.dataset.data_root=/nowhere'], "'/nowhere' is not a folder"),
    (['tools/test.py', 'configs/quickstart/rooms_rgb_small-resnet_frozen.py', 'no_such.pth', '--cfg-options',
      'test_dataloader.dataset.data_root={rooms}'], 'no_such.pth: no such checkpoint file'),
    (['tools/train.py', CONFIG, '--cfg-options', 'train_dataloder.batch_size=4'], "did you mean 'train_dataloader'?"),
    (['tools/train.py', CONFIG, '--cfg-options', 'model.head.type=DeCURHed', 'train_dataloader.dataset.data_root={rooms}'],
     "did you mean 'DeCURHead'?"),
    (['tools/train.py', 'configs/decur/decur_resnet50_sunrgbd.py'], 'decur/sunrgbd_rgb-hha_{r50,mit-b5}_decur.py now'),
    (['tools/test.py', SEGMENTATION, 'x.pth', '--cfg-options', 'test_dataloader.dataset.data_root={rooms}',
      'model.decode_head.num_classes=5'], 'model.decode_head has 5 classes, '),
    (['tools/test.py', SEGMENTATION, 'x.pth', '--cfg-options', 'test_dataloader.dataset.data_root={rooms}',
      'test_evaluator.ignore_index=0'], 'evaluator IoUMetric ignores label 0'),
    (['tools/train.py', 'configs/rooms/rooms_rgb_fcn-mit-b0_finetune.py', '--cfg-options', 'train_dataloader.dataset.data_root={rooms}',
      'train_dataloader.dataset.num_samples=None', 'val_dataloader.dataset.data_root={rooms}',
      'val_evaluator.ignore_index=0'], 'evaluator IoUMetric ignores label 0'),
])
def test_bad_input_ends_with_one_line_before_anything_else(rooms, tmp_path, command, message):
    done = run_tool(*(part.format(rooms=rooms) for part in command), '--work-dir', tmp_path, check=False)
    assert one_line_error(done, message)
    assert not done.stdout


def test_a_pretraining_checkpoint_is_not_tested_with_a_random_head(rooms, tmp_path):
    """Its mIoU was printed and written into the tables."""
    import torch

    from decur import build_model
    from decur.engine import load_config
    config = 'configs/quickstart/rooms_rgb-hha_small-resnet_frozen.py'
    model = build_model(load_config(str(ROOT / config)))
    torch.save({k: v for k, v in model.state_dict().items() if k.startswith('backbone')}, tmp_path / 'x.pth')
    command = ['tools/test.py', config, tmp_path / 'x.pth', '--work-dir', tmp_path / 'work', '--out', tmp_path / 'x.json']
    options = ['--cfg-options', f'test_dataloader.dataset.data_root={rooms}', 'test_dataloader.num_workers=0',
               'test_dataloader.persistent_workers=False']
    done = run_tool(*command, *options, check=False)
    assert one_line_error(done, 'missing in the file: decode_head.') and not done.stdout
    assert not (tmp_path / 'x.json').exists() and not list(tmp_path.rglob('test.json'))
    run_tool(*command, '--allow-missing', 'decode_head', *options)
    assert 'decode_head' in json.loads(next(tmp_path.rglob('test.json')).read_text())['not_loaded']


@pytest.mark.slow
def test_two_processes_end_with_one_line(rooms, tmp_path):
    """A damaged sample that only one of them reads, a folder in which another run trains, and SIGTERM: what stands last says why."""
    config = 'configs/quickstart/rooms_rgb-hha_small-resnet_decur.py'
    options = ['--cfg-options', 'train_dataloader.batch_size=12', 'train_dataloader.num_workers=1', 'train_cfg.max_epochs=500',
               'default_hooks.checkpoint.interval=500', 'default_hooks.logger.interval=1']
    bad = tmp_path / 'my bad, rooms'
    shutil.copytree(rooms, bad)
    stem = (bad / 'train.txt').read_text().split()[0]
    image = bad / 'rgb' / f'{stem}.png'
    image.write_bytes(image.read_bytes()[:300])
    done = run_tool('tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'bad', *options, f'train_dataloader.dataset.data_root={bad}',
                    check=False, PORT=port())
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].startswith(f'error: {image} ')
    assert 'Traceback' not in done.stderr

    work, data = tmp_path / 'work', f'train_dataloader.dataset.data_root={rooms}'
    with two_processes(config, work, *options, data, stderr=subprocess.PIPE, text=True) as launcher:
        processes.wait_until(lambda: losses(work), 200, 'the first loss', launcher)
        second = run_tool('tools/dist_train.sh', config, 2, '--work-dir', work, *options, data, check=False, PORT=port())
        assert second.returncode == 1 and 'another run trains in' in second.stderr.strip().splitlines()[-1], second.stderr
        launcher.terminate()
        error = launcher.communicate(timeout=120)[1]
    assert launcher.returncode == 143 and f'the state is in {work}/recent.pth, --resume goes on from it.' in error
    assert (work / 'last_checkpoint').read_text() == f'{work}/recent.pth' and 'Traceback' not in error


def test_shell_tools_say_how_they_are_used():
    for tool in ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'):
        done = run_tool(f'tools/{tool}', check=False)
        assert done.returncode == 2 and 'usage:' in done.stderr
    done = run_tool('tools/dist_train.sh', CONFIG, '--work-dir', 'x', check=False)
    assert done.returncode == 2 and 'usage:' in done.stderr


def test_slurm_tools_start_srun_with_openmmlab_s_arguments(tmp_path):
    """A stand-in for srun prints what it was asked to start."""
    (tmp_path / 'srun').write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    path = f'{tmp_path}:{os.environ["PATH"]}'
    out = run_tool('tools/slurm_train.sh', 'gpu', 'job', CONFIG, 'out', '--resume', PATH=path, GPUS=16).stdout
    assert '-p gpu --job-name=job --gres=gpu:8 --ntasks=16 --ntasks-per-node=8' in out
    assert out.strip().endswith(f'tools/train.py {CONFIG} --work-dir out --launcher slurm --resume')
    out = run_tool('tools/slurm_test.sh', 'gpu', 'job', CONFIG, 'x.pth', PATH=path, GPUS=4).stdout
    assert '--gres=gpu:4 --ntasks=4' in out and out.strip().endswith(f'tools/test.py {CONFIG} x.pth --launcher slurm')
