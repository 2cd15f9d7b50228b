"""Runs on clusters: the Slurm script with a stand-in for srun that starts local processes, and dist_train.sh over several nodes."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from helpers import ROOT, entries, write_pairs

#: Starts as many local processes as --ntasks says, with the variables that Slurm sets; hands SIGTERM on, as srun does when a job is
#: preempted or requeued; ends the others when one fails (--kill-on-bad-exit).
SRUN = '''#!/usr/bin/env python3
import os, signal, subprocess, sys, time
options, command = {}, sys.argv[1:]
while command and command[0].startswith('-'):
    word = command.pop(0)
    name, equals, value = word.partition('=')
    options[name] = value if equals else command.pop(0)
print('srun', options, file=open(os.environ['SRUN_LOG'], 'a'))
count = int(options['--ntasks'])
common = dict(os.environ, SLURM_NTASKS=str(count), SLURM_JOB_ID='77', SLURM_JOB_NODELIST='127.0.0.1')
tasks = [subprocess.Popen(command, env=dict(common, SLURM_PROCID=str(i), SLURM_LOCALID=str(i))) for i in range(count)]
signal.signal(signal.SIGTERM, lambda *args: [task.send_signal(signal.SIGTERM) for task in tasks if task.poll() is None])
end = time.time() + 500
while any(task.poll() is None for task in tasks):
    if any(task.returncode for task in tasks) or time.time() > end:
        time.sleep(20 if time.time() < end else 0)
        [task.kill() for task in tasks if task.poll() is None]
    time.sleep(.05)
status = [task.wait() for task in tasks]
sys.exit(next((128 - code if code < 0 else code for code in status if code), 0))
'''


@pytest.fixture
def config(tmp_path):
    """A small pretraining on eight samples, an iteration for two processes in each of 20 epochs."""
    write_pairs(tmp_path / 'data', ids=[f's{i}' for i in range(8)], size=(24, 24))
    modalities = entries()
    for entry in modalities.values():
        entry['augmentation']['size'] = 16
    bases = [str(ROOT / 'configs' / '_base_' / name) for name in ('default_runtime.py', 'models/decur.py', 'schedules/lars_100e.py',
                                                                  'datasets/paired_pretraining.py')]
    path = tmp_path / 'small.py'
    path.write_text(f'''_base_ = {bases!r}
modalities = {modalities!r}
model = dict(neck=dict(hid_channels=16, out_channels=16), head=dict(common_dim=12))
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, pin_memory=False,
                        dataset=dict(data_root={str(tmp_path / 'data')!r}))
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=100))
train_cfg = dict(max_epochs=20)
''')
    return path


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def steps(work_dir) -> list:
    """Logged steps and losses, in the order of the runs."""
    return [(record['step'], record['loss']) for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
            for record in map(json.loads, path.read_text().splitlines()) if 'loss' in record]


def start(command, **env):
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', **env)
    return subprocess.Popen([str(word) for word in command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


@pytest.mark.slow
def test_a_preempted_slurm_job_saves_and_its_requeue_goes_on(config, tmp_path):
    """The same command twice, as `sbatch --requeue` runs it: SIGTERM in between."""
    srun = tmp_path / 'bin' / 'srun'
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    command = ['tools/slurm_train.sh', 'debug', 'job', config, tmp_path / 'work', '--resume']
    env = dict(PATH=f'{srun.parent}:{os.environ["PATH"]}', GPUS='2', SRUN_LOG=str(tmp_path / 'srun.log'), MASTER_PORT=free_port())
    job = start(command, **env)
    try:
        deadline = time.time() + 400
        while len(steps(tmp_path / 'work')) < 2:
            assert job.poll() is None and time.time() < deadline, job.communicate()[1][-2000:]
            time.sleep(.05)
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=120)
    finally:
        job.kill()
    assert job.returncode == 143 and 'ended by SIGTERM after iteration' in err, err[-2000:]
    done = max(step for step, _ in steps(tmp_path / 'work'))
    assert (tmp_path / 'work' / 'recent.pth').exists() and done < 20
    again = start(command, **dict(env, MASTER_PORT=free_port()))
    try:
        out, err = again.communicate(timeout=400)
    finally:
        again.kill()
    assert again.returncode == 0, err[-2000:]
    logged = [step for step, _ in steps(tmp_path / 'work')]
    assert logged == list(range(1, 21)), 'every step once: nothing is repeated or left out'
    assert "'--ntasks': '2'" in (tmp_path / 'srun.log').read_text() and "'-p': 'debug'" in (tmp_path / 'srun.log').read_text()


@pytest.mark.slow
def test_two_nodes_of_one_process_each(config, tmp_path):
    """dist_train.sh on every node with NNODES and NODE_RANK: two processes share the eight samples, one iteration an epoch."""
    port = free_port()
    options = ['--cfg-options', 'train_cfg.max_epochs=2']
    nodes = [start(['tools/dist_train.sh', config, '1', '--work-dir', tmp_path / 'nodes', *options], NNODES='2',
                   NODE_RANK=str(rank), PORT=port) for rank in range(2)]
    try:
        for node in nodes:
            out, err = node.communicate(timeout=400)
            assert node.returncode == 0, err[-2000:]
    finally:
        for node in nodes:
            node.kill()
    assert [step for step, _ in steps(tmp_path / 'nodes')] == [1, 2]
