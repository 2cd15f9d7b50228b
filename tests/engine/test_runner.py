"""Input is checked before a run starts, checkpoints fit or are refused and appear whole, and a resumed run is the interrupted one."""
import logging
import os
import random
import re
import signal

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from runs import StripedImages, build, loader, run

from decur.engine import EpochSampler, MultimodalRunner
from decur.engine.hooks import checkpoint as checkpoint_module
from decur.engine.launch import check_samples
from decur.errors import ConfigError, DataError, Stopped, WeightsError
from decur.weights import load_file
from decur.writing import WriteError


class Noise(Hook):
    """Makes the training depend on torch's random numbers, as dropout does."""

    def before_train(self, runner):
        runner.model.backbone.streams['sar'].encoder.conv1.register_forward_hook(lambda m, i, out: out + 0.1 * torch.randn_like(out))


class After(Hook):
    """Does something after so many iterations."""

    def __init__(self, iterations, action):
        self.iterations, self.action = iterations, action

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iterations:
            self.action()


class Killed(BaseException):
    """Stands for a process that is gone: nothing runs after it."""


def kill():
    raise Killed


def train(work_dir, *hooks, resume=False, iterations=None, epochs=3, data=None, **kwargs):
    """Three epochs of three batches (or so many iterations), with noise; returns the runner."""
    data = dict(loader(**(data or {})), sampler=dict(type='EpochInfiniteSampler' if iterations else 'EpochSampler'))
    loops = dict(by_epoch=False, max_iters=iterations) if iterations else dict(by_epoch=True, max_epochs=epochs)
    checkpoint = dict(type='SafeCheckpointHook', minutes=0, by_epoch=not iterations, interval=4 if iterations else 1)
    checkpoint.update(kwargs.pop('checkpoint', {}))
    # A scheduler by iteration and one by epoch: both must go on where they were.
    schedulers = [dict(type='LinearLR', start_factor=0.1, end=5, by_epoch=False),
                  dict(type='ExponentialLR', gamma=0.9, by_epoch=not iterations)]
    if epochs == 0:
        loops, schedulers = dict(by_epoch=True, max_epochs=0), None
    runner = build(work_dir, [dict(type='EpochSeedHook'), Noise(), *hooks], kind=MultimodalRunner, checkpoint=checkpoint, train_cfg=loops,
                   train_dataloader=data, param_scheduler=schedulers, **{'load_from': None, **kwargs, 'resume': resume})
    runner.train()
    return runner


def same_state(a, b):
    a, b = load_file(a), load_file(b)
    assert a['meta']['iter'] == b['meta']['iter'] and a['meta']['epoch'] == b['meta']['epoch']
    assert list(a['state_dict']) == list(b['state_dict'])
    assert all(torch.equal(value, b['state_dict'][name]) for name, value in a['state_dict'].items())
    for one, other in zip(a['optimizer']['state'].values(), b['optimizer']['state'].values()):
        assert torch.equal(one['momentum_buffer'], other['momentum_buffer'])
    drop = ('verbose', )
    assert [{k: v for k, v in s.items() if k not in drop} for s in a['param_schedulers']] == [
        {k: v for k, v in s.items() if k not in drop} for s in b['param_schedulers']]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp('whole')
    train(folder / 'epochs')
    train(folder / 'iterations', iterations=9)
    return folder


@pytest.mark.parametrize('after', [1, 4, 5, 8])
def test_sigterm_saves_and_the_resumed_run_is_the_uninterrupted_one(tmp_path, whole, after):
    """In an epoch's first, middle and last batch: 5 and 8 are the last of an epoch of three."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match=rf'after iteration {after + 1}; the state is in .*recent\.pth, --resume goes on'):
        train(tmp_path, After(after, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert signal.getsignal(signal.SIGTERM) is before
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'recent.pth')
    runner = train(tmp_path, resume='auto')
    assert runner.iter == 9
    same_state(tmp_path / 'epoch_3.pth', whole / 'epochs' / 'epoch_3.pth')
    assert not (tmp_path / 'recent.pth').exists()


def test_a_run_by_iterations_too(tmp_path, whole):
    with pytest.raises(Stopped):
        train(tmp_path, After(5, lambda: os.kill(os.getpid(), signal.SIGTERM)), iterations=9)
    train(tmp_path, resume='auto', iterations=9)
    same_state(tmp_path / 'iter_9.pth', whole / 'iterations' / 'iter_9.pth')


def test_killed_between_checkpoints_it_loses_what_the_minutes_allow(tmp_path, whole, monkeypatch):
    """Every clock reading is 6 minutes later than the one before: with 10 minutes every second iteration is written."""
    clock = iter(range(0, 10**6, 360))
    monkeypatch.setattr(checkpoint_module.time, 'monotonic', lambda: next(clock))
    with pytest.raises(Killed):
        train(tmp_path, After(5, kill), checkpoint=dict(minutes=10, interval=3))
    found = load_file(tmp_path / 'recent.pth')['meta']
    assert found['iter'] in (4, 5) and found['epoch'] == 1 and found['batches_done'] == found['iter'] - 3
    train(tmp_path, resume='auto')
    same_state(tmp_path / 'epoch_3.pth', whole / 'epochs' / 'epoch_3.pth')


@DATASETS.register_module()
class SpoiltImages(StripedImages):
    """Some samples of the second epoch are not finite while ``spoilt`` is set."""

    spoilt = ()

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if index // 24 == 1 and index % 24 in self.spoilt:
            sample['inputs']['sar'][0][0, 0, 0] = float('nan')
        return sample


class Count(Hook):
    """Remember which samples each step of training used."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append([sample.sample_id for sample in data_batch['data_samples']])


def test_the_last_good_state_goes_on_with_the_next_batch(tmp_path, monkeypatch):
    """It used to repeat the epoch."""
    order = EpochSampler(range(24), seed=1).order(1)
    monkeypatch.setattr(SpoiltImages, 'spoilt', order[12:14])  # of the epoch's second batch
    counts = [Count() for _ in range(3)]
    data = dict(type='SpoiltImages')
    with pytest.raises(FloatingPointError, match='last_good_iter_4'):
        train(tmp_path / 'bad', dict(type='NonFiniteLossHook'), counts[0], data=data)
    monkeypatch.setattr(SpoiltImages, 'spoilt', ())
    train(tmp_path / 'bad', counts[1], data=data, resume='auto')
    train(tmp_path / 'good', counts[2], data=data)
    assert counts[0].seen[:4] + counts[1].seen == counts[2].seen and len(counts[2].seen) == 9
    same_state(tmp_path / 'bad' / 'epoch_3.pth', tmp_path / 'good' / 'epoch_3.pth')


def test_the_last_good_state_of_an_earlier_version_too(tmp_path, whole):
    """It does not say how many batches of its epoch it has seen; its numbers of epochs and iterations do."""
    with pytest.raises(Stopped):
        train(tmp_path, After(4, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    old = load_file(tmp_path / 'recent.pth')
    assert (old['meta'].pop('batches_done'), old['meta'].pop('batches_per_epoch')) == (2, 3)
    torch.save(old, tmp_path / 'last_good_iter_5.pth')
    (tmp_path / 'recent.pth').unlink()
    train(tmp_path, resume=True, load_from=str(tmp_path / 'last_good_iter_5.pth'))
    same_state(tmp_path / 'epoch_3.pth', whole / 'epochs' / 'epoch_3.pth')


def test_resuming_inside_an_epoch_needs_the_same_batches(tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, After(4, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    with pytest.raises(WeightsError, match='after batch 2 of an epoch of 3, but an epoch of this run has 6 batches'):
        train(tmp_path, resume='auto', data=dict(batch_size=4))


class TestNewest:

    def test_a_truncated_file_is_passed_over_and_named(self, tmp_path, whole, caplog):
        for epoch in (2, 3):
            data = (whole / 'epochs' / f'epoch_{epoch}.pth').read_bytes()
            (tmp_path / f'epoch_{epoch}.pth').write_bytes(data if epoch == 2 else data[:len(data) // 2])
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
        runner = build_quietly(tmp_path)
        assert runner._newest() == (True, str(tmp_path / 'epoch_2.pth'))
        log = logged(tmp_path)
        assert 'not taken: ' in log and 'epoch_3.pth' in log and f'going on from {tmp_path / "epoch_2.pth"}' in log

    @pytest.mark.parametrize('note', ['', '\0' * 10, '/nowhere/epoch_9.pth', 'epoch_'])
    def test_a_damaged_note_does_not_matter(self, tmp_path, whole, note):
        (tmp_path / 'epoch_2.pth').write_bytes((whole / 'epochs' / 'epoch_2.pth').read_bytes())
        (tmp_path / 'last_checkpoint').write_text(note)
        assert build_quietly(tmp_path)._newest() == (True, str(tmp_path / 'epoch_2.pth'))

    def test_the_one_with_most_iterations_counts_and_not_the_time_of_the_file(self, tmp_path, whole):
        for epoch in (3, 2, 1):
            (tmp_path / f'epoch_{epoch}.pth').write_bytes((whole / 'epochs' / f'epoch_{epoch}.pth').read_bytes())
        torch.save(dict(load_file(tmp_path / 'epoch_3.pth'), optimizer=None), tmp_path / 'x.pth')
        weights = {key: value for key, value in load_file(tmp_path / 'epoch_3.pth').items() if key != 'optimizer'}
        weights['meta']['iter'] = 99
        torch.save(weights, tmp_path / 'best_mIoU_epoch_9.pth')  # without the state of a training
        (tmp_path / 'x.pth').unlink()
        assert build_quietly(tmp_path)._newest() == (True, str(tmp_path / 'epoch_3.pth'))

    def test_starting_over_is_said_loudly(self, tmp_path):
        runner = train(tmp_path, resume='auto', epochs=1)
        assert runner.epoch == 1
        assert re.search(r'WARNING .*THE RUN STARTS FROM THE BEGINNING: there is no checkpoint', logged(tmp_path))

    def test_where_none_can_be_read_the_run_does_not_start_over(self, tmp_path):
        (tmp_path / 'epoch_7.pth').write_bytes(b'PK\x03\x04 cut')
        with pytest.raises(WeightsError, match='none of the 1 checkpoints .*epoch_7.pth.*Remove them'):
            train(tmp_path, resume='auto')


def build_quietly(folder):
    runner = build(folder, kind=MultimodalRunner)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    return runner


def logged(folder):
    return ''.join(path.read_text() for path in folder.rglob('*.log'))


def broken_files(good):
    state = good['state_dict']
    yield 'lacks the projector', {k: v for k, v in state.items() if 'neck' not in k}, 'missing in the file: neck.'
    yield 'modality of another name', {k.replace('streams.sar', 'streams.s1'): v for k, v in state.items()}, 'streams.s1'
    yield 'another width', {k: torch.cat([v, v]) if k == 'neck.projectors.sar.fc0.weight' else v for k, v in state.items()}, 'another shape'
    yield 'surplus', dict(state, **{'ema.x': torch.zeros(3)}), '1 surplus in the file: ema.x'
    yield 'nothing fits', {f'net.{k}': v for k, v in state.items()}, 'no key of the file is one of the model'
    yield 'not finite', {k: v * float('nan') if k.endswith('fc0.weight') else v for k, v in state.items()}, 'not finite'


def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_is_said(tmp_path, whole, capsys):
    good = load_file(whole / 'epochs' / 'epoch_2.pth')
    for i, (title, state, said) in enumerate(broken_files(good)):
        torch.save(dict(good, state_dict=state), tmp_path / 'x.pth')
        for how in (True, False):
            capsys.readouterr()
            with pytest.raises(WeightsError) as error:
                train(tmp_path / f'{i}{how}', load_from=str(tmp_path / 'x.pth'), resume=how)
            assert said in str(error.value) and '\n' not in str(error.value), title
            assert capsys.readouterr().out == '', title
            assert not list((tmp_path / f'{i}{how}').glob('*.pth'))


def test_prefixes_of_wrappers_fit_in_whole_and_in_part(tmp_path, whole):
    good = load_file(whole / 'epochs' / 'epoch_2.pth')
    for part in ('', 'neck'):
        state = {f'module.{k}' if k.startswith(part) else k: v for k, v in good['state_dict'].items()}
        torch.save(dict(good, state_dict=state), tmp_path / 'x.pth')
        runner = train(tmp_path / f'a{part}', load_from=str(tmp_path / 'x.pth'), epochs=0)
        assert all(torch.equal(v, good['state_dict'][k]) for k, v in runner.model.state_dict().items())


def test_what_may_be_missing_is_named(tmp_path, whole):
    good = load_file(whole / 'epochs' / 'epoch_2.pth')
    torch.save(dict(state_dict={k: v for k, v in good['state_dict'].items() if 'neck' not in k}), tmp_path / 'x.pth')

    def start(**cfg):
        return train(tmp_path / 'run', load_from=str(tmp_path / 'x.pth'), epochs=0, cfg=cfg)

    runner = start(allow_missing=['neck'])
    assert torch.equal(runner.model.backbone.streams['sar'].encoder.conv1.weight,
                       good['state_dict']['backbone.streams.sar.encoder.conv1.weight'])
    assert 'KEEP THEIR INITIAL VALUES' in logged(tmp_path / 'run')
    for wrong, said in ((['nek'], "no such component (did you mean 'neck'?)"), ('neck', r"write ['neck']"), ([], 'missing in the file')):
        with pytest.raises((ConfigError, WeightsError), match=re.escape(said)):
            start(allow_missing=wrong)
    with pytest.raises(WeightsError, match='no state of a training'):
        train(tmp_path / 'run', load_from=str(tmp_path / 'x.pth'), resume=True, epochs=0, cfg=dict(allow_missing=['neck']))


def test_resume_and_a_start_from_weights_together(tmp_path, whole):
    """--resume in a new folder starts from load_from, and later goes on from its own checkpoint."""
    start = dict(load_from=str(whole / 'epochs' / 'epoch_1.pth'), resume='auto')
    runner = train(tmp_path, epochs=1, **start)
    assert runner.iter == 3 and 'STARTS FROM THE BEGINNING' in logged(tmp_path)
    assert train(tmp_path, epochs=2, **start).iter == 6
    assert f'going on from {tmp_path / "epoch_1.pth"}' in logged(tmp_path)


def test_a_checkpoint_is_whole_or_the_old_one(tmp_path, monkeypatch):
    runner = train(tmp_path, epochs=1)
    before = (tmp_path / 'epoch_1.pth').read_bytes()
    from mmengine.fileio.backends import LocalBackend
    put = LocalBackend.put

    def full(self, data, path):
        put(self, data[:1000], path)
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(LocalBackend, 'put', full)
    with pytest.raises(WriteError, match='epoch_1.pth cannot be written .No space left'):
        runner.save_checkpoint(str(tmp_path), 'epoch_1.pth', meta=dict(epoch=1, iter=3))
    assert (tmp_path / 'epoch_1.pth').read_bytes() == before and not list(tmp_path.glob('.*.tmp'))


def test_an_old_checkpoint_goes_only_when_the_new_one_is_there(tmp_path, monkeypatch):
    runner = train(tmp_path, epochs=2, checkpoint=dict(max_keep_ckpts=1))
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['epoch_2.pth']
    hook = next(hook for hook in runner.hooks if isinstance(hook, checkpoint_module.SafeCheckpointHook))
    monkeypatch.setattr(runner, 'save_checkpoint', lambda *args, **kwargs: kill())
    with pytest.raises(Killed):
        hook._save_checkpoint_with_step(runner, 3, dict())
    assert (tmp_path / 'epoch_2.pth').exists()


@pytest.mark.parametrize('spoil, said', [
    (lambda options: options['model']['head'].update(common_dims=3),
     "DeCURHead has no argument 'common_dims' (did you mean 'common_dim'?)"),
    (lambda options: options['model'].update(type='MultimodalPretrainin'), "(did you mean 'MultimodalPretraining'?)"),
    (lambda options: options['train_dataloader']['dataset'].update(siz=3), "StripedImages has no argument 'siz' (did you mean 'size'?)"),
    (lambda options: options['train_dataloader'].update(batch_size=32, drop_last=True), 'batch_size to at most 24'),
    (lambda options: options['optim_wrapper']['optimizer'].update(lr=-1), 'the optimizer SGD does not take the settings of'),
    (lambda options: options['train_dataloader'].update(batch_size=0), 'batch_size of a data loader must be'),
    (lambda options: options['train_dataloader'].update(num_workers=-1), 'num_workers of a data loader must be'),
    (lambda options: options['train_dataloader'].update(batch_size=1), 'batch normalisation needs at least 2'),
    (lambda options: options['train_dataloader'].update(batch_size=23), 'the last batch of an epoch would hold 1 of 24 samples'),
])
def test_mistakes_are_said_before_anything_is_printed(tmp_path, capsys, spoil, said):
    def kind(**options):
        spoil(options)
        return MultimodalRunner(**options)

    with pytest.raises((ConfigError, DataError)) as error:
        run(tmp_path, [], kind=kind)
    assert said in str(error.value) and '\n' not in str(error.value)
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize('place', [0, 12, 23])
def test_a_bad_sample_anywhere_is_said_before_anything_is_printed(tmp_path, capsys, monkeypatch, place):
    """Some samples over the whole data set are read first: here the first, the last, and one in the middle."""
    read = StripedImages.__getitem__

    def spoilt(self, index):
        if index >= place and place != 12 or index in (10, 11, 12, 13):
            raise DataError(f'image{index}.png is damaged.')
        return read(self, index)

    monkeypatch.setattr(StripedImages, '__getitem__', spoilt)
    with pytest.raises(DataError, match='image.* is damaged'):
        run(tmp_path, [], kind=MultimodalRunner)
    assert capsys.readouterr().out == '' and not list(tmp_path.rglob('*.json'))


def test_looking_at_samples_leaves_the_random_numbers_as_they_were():
    class Drawing(list):
        def __getitem__(self, index):
            return torch.rand(1), np.random.rand(), random.random()

    data, states = StripedImages(size=5), (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    for one in (data, Drawing(range(5)), iter(())):
        check_samples(one)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert data.drawn == 5


def test_what_was_withheld_is_shown_once_when_the_run_starts(tmp_path, capsys):
    run(tmp_path, [], epochs=1, kind=MultimodalRunner)
    out = capsys.readouterr().out
    assert out.count('System environment') == 1 and out.count('Hooks will be executed') == 1
    assert logging.getLogger().handlers is not None and 'Saving checkpoint' in out


def test_a_checkpoint_hook_with_negative_minutes_is_refused():
    with pytest.raises(ConfigError, match='minutes'):
        checkpoint_module.SafeCheckpointHook(minutes=-1)


def test_a_run_says_nothing_that_its_user_can_not_change(tmp_path, capsys, recwarn):
    """No warnings of MMEngine and PyTorch about their own parts; what is frozen in one line; other warnings stay."""
    data = dict(loader(), sampler=dict(type='EpochSampler'), num_workers=1, pin_memory=True)
    wrapper = dict(optimizer=dict(type='SGD', lr=1e-3), paramwise_cfg=dict(custom_keys={'neck': dict(lr_mult=2.0)}))
    other = After(1, lambda: runner.logger.warning('the loss is deprecated'))
    runner = build(tmp_path, [dict(type='NonFiniteLossHook'), other], kind=MultimodalRunner, train_dataloader=data, optim_wrapper=wrapper,
                   checkpoint=dict(type='SafeCheckpointHook', minutes=0), train_cfg=dict(by_epoch=True, max_epochs=1),
                   param_scheduler=[dict(type='LinearLR', start_factor=0.1, end=5, by_epoch=False)])
    frozen = [parameter.requires_grad_(False) for parameter in runner.model.backbone.streams['sar'].parameters()]
    runner.train()
    out = capsys.readouterr().out
    assert [str(warning.message) for warning in recwarn if 'torch.jit' not in str(warning.message)] == []
    told = [line for line in out.splitlines() if 'WARNING' in line and 'StripedImages has no metainfo' not in line]
    assert len(told) == 1 and told[0].endswith('the loss is deprecated')
    total = len(list(runner.model.parameters()))
    assert f'{len(frozen)} of {total} tensors of parameters are frozen: backbone.streams.sar.' in out
    assert out.count('requires_grad=False') == 0
    assert 'will be deprecated' not in next(tmp_path.rglob('*.log')).read_text()


def test_a_log_that_cannot_be_written_ends_with_one_line_and_the_run_goes_on(tmp_path, capsys):
    runner = build(tmp_path / 'run', epochs=1, kind=MultimodalRunner)
    handler = next(handler for handler in runner.logger.handlers if isinstance(handler, logging.FileHandler))
    handler.stream.close()
    handler.stream = open('/dev/full', 'w')
    runner.train()
    err = capsys.readouterr().err
    assert err == f'warning: {handler.baseFilename}: No space left on device, nothing more is written to this log.\n'
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()


def test_an_error_that_comes_while_logging_is_not_lost(tmp_path):
    runner = build(tmp_path / 'run', epochs=1, kind=MultimodalRunner)
    runner._start()

    class Killed:
        def __str__(self):  # where PyTorch's signal handler tells of a killed worker
            raise RuntimeError('DataLoader worker (pid 1) is killed by signal: Killed.')

    with pytest.raises(RuntimeError, match='is killed'):
        runner.logger.info('%s', Killed())


def test_a_closed_console_does_not_end_the_run(tmp_path, capfd):
    """A notebook's cell or a test gives its stream back while MMEngine's logger, one for the process, still writes to it."""
    runner = build(tmp_path / 'run', epochs=1, kind=MultimodalRunner)
    runner._start()
    console = next(handler for handler in runner.logger.handlers if not isinstance(handler, logging.FileHandler))
    stream, console.stream = console.stream, open(os.devnull, 'w')
    console.stream.close()
    try:
        runner.train()
        runner.logger.info('one more')
    finally:
        console.stream = stream
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()


def test_no_workers_need_no_second_option():
    """``num_workers=0`` on the command line, where the config keeps its workers: torch's loader refuses to keep none."""
    made = MultimodalRunner.build_dataloader(dict(loader(), persistent_workers=True, prefetch_factor=2))
    assert made.num_workers == 0 and not made.persistent_workers and len(next(iter(made))['data_samples']) == 8
