import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from forked import run_processes
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmpretrain.structures import DataSample
from runs import loader, run

import decur  # noqa: F401
from decur.errors import ConfigError, DataError
from decur.evaluation.probes import knn_scores, labelled_features, linear_scores, score
from decur.weights.io import load_file


def scalars(work_dir):
    return [json.loads(line) for line in next(Path(work_dir).glob('*/vis_data/scalars.json')).read_text().splitlines()]


def test_non_finite_loss_stops_with_names_and_the_last_good_state(tmp_path):
    # 3 batches of 8 an epoch: the 5th batch is the first with a bad sample.
    with pytest.raises(FloatingPointError) as stopped:
        run(tmp_path / 'bad', [dict(type='NonFiniteLossHook')], train=dict(poison=('sar', 36)))
    message = str(stopped.value)
    assert 'epoch 2, iteration 5' in message and 'intra_sar = nan' in message and 'Modality: sar.' in message
    assert "modality 'sar' has values that are not finite in 4 of 8 samples (image12, image13, image14, image15)" in message
    assert 'last_good_iter_4.pth' in message and '\n' not in message
    saved = load_file(tmp_path / 'bad' / 'last_good_iter_4.pth')
    assert saved['meta']['iter'] == 4 and saved['meta']['epoch'] == 1
    # The state is that of a run that ends after the four good steps, batch norm statistics included.
    with pytest.raises(StopIteration):
        run(tmp_path / 'good', [dict(type='StopAfter', steps=4)])
    good = load_file(tmp_path / 'good' / 'stopped.pth')
    assert list(saved['state_dict']) == list(good['state_dict'])
    for name, value in good['state_dict'].items():
        assert torch.equal(saved['state_dict'][name], value), name
    for state, want in zip(saved['optimizer']['state'].values(), good['optimizer']['state'].values()):
        assert torch.equal(state['momentum_buffer'], want['momentum_buffer'])
    # And training goes on from it.
    runner = run(tmp_path / 'resumed', [dict(type='NonFiniteLossHook')], resume_from=str(tmp_path / 'bad' / 'last_good_iter_4.pth'))
    assert runner.epoch == 2 and all(torch.isfinite(p).all() for p in runner.model.parameters())
    assert 'parse_losses' not in vars(runner.model) and 'step' not in vars(runner.optim_wrapper)


def test_non_finite_gradients_stop_before_the_step(tmp_path):
    class Spoil(Hook):
        def before_train(self, runner):
            runner.model.backbone.streams['optical'].encoder.conv1.weight.register_hook(
                lambda grad: grad * float('inf') if runner.iter == 2 else grad)

    with pytest.raises(FloatingPointError, match=r'gradients are not: backbone\.streams\.optical.*Modality: optical'):
        run(tmp_path / 'run', [dict(type='NonFiniteLossHook'), Spoil()])
    saved = load_file(tmp_path / 'run' / 'last_good_iter_2.pth')
    assert all(torch.isfinite(value).all() for value in saved['state_dict'].values())


def test_probe_metrics_are_logged_and_select_the_checkpoint(tmp_path):
    probe = dict(type='ProbeHook', interval=2, k=5, train_dataloader=loader(views=False, size=30, seed=5),
                 test_dataloader=loader(views=False, size=21, seed=6))
    runner = run(tmp_path / 'run', [probe], epochs=5, save_best='probe/linear_acc')
    logged = [row for row in scalars(tmp_path / 'run') if 'probe/linear_acc' in row]
    assert [row['step'] for row in logged] == [2, 4, 5]
    assert set(logged[0]) >= {f'probe/{method}_acc{suffix}' for method in ('knn', 'linear') for suffix in ('', '_sar', '_optical')}
    best = max(logged, key=lambda row: row['probe/linear_acc'])
    assert best['probe/linear_acc'] > 60  # 33 by chance
    assert (tmp_path / 'run' / f'best_probe_linear_acc_epoch_{best["step"]}.pth').is_file()
    # The figure is that of scikit-learn's classifiers on the same features.
    from sklearn.linear_model import LogisticRegression
    loop = runner.val_loop
    runner.model.eval()
    train, test = (labelled_features(runner.model, x) for x in (loop.train_dataloader, loop.dataloader))
    xa, xb = (torch.cat(list(x['features'].values()), 1).numpy() for x in (train, test))
    ya, yb = (x['targets'].argmax(1).numpy() for x in (train, test))
    scale = xa.std(0)
    classifier = LogisticRegression(C=1 / (1e-4 * len(xa)), max_iter=2000).fit((xa - xa.mean(0)) / scale, ya)
    assert abs(100 * classifier.score((xb - xa.mean(0)) / scale, yb) - logged[-1]['probe/linear_acc']) <= 100 / 21 + 1e-3


def test_probe_on_multilabel_sets_with_missing_modalities(tmp_path):
    common = dict(views=False, multilabel=True, missing=dict(optical=[0, 7]))
    probe = dict(type='ProbeHook', k=3, train_dataloader=loader(size=24, seed=5, **common),
                 test_dataloader=loader(size=12, seed=6, **common))
    run(tmp_path / 'run', [probe], epochs=1)
    row = next(row for row in scalars(tmp_path / 'run') if 'probe/knn_mAP' in row)
    assert 0 <= row['probe/knn_mAP_optical'] <= 100 and row['probe/linear_mAP_sar'] > 40


def test_probe_mistakes(tmp_path):
    labelled = loader(views=False, size=6)
    with pytest.raises(ConfigError, match='methods'):
        decur.evaluation.ProbeHook(labelled, labelled, methods=['svm'])
    with pytest.raises(DataError, match='image0.*neither gt_label nor gt_score'):
        unlabelled = loader(views=False, labels=False)
        run(tmp_path / 'a', [dict(type='ProbeHook', train_dataloader=unlabelled, test_dataloader=labelled)], epochs=1)
    with pytest.raises(ConfigError, match='remove val_dataloader'):
        run(tmp_path / 'b', [dict(type='ProbeHook', train_dataloader=labelled, test_dataloader=labelled)], epochs=1,
            val_dataloader=labelled, val_cfg=dict(), val_evaluator=dict(type='mmpretrain.Accuracy'))


def test_every_term_is_logged(tmp_path):
    run(tmp_path / 'run', [], epochs=1)
    row = scalars(tmp_path / 'run')[0]
    terms = ['intra_sar', 'intra_optical', 'common_sar_optical', 'unique_sar_optical']
    assert row['loss'] == pytest.approx(sum(row[name] for name in terms), rel=1e-5)
    assert {'diag_common_sar_optical', 'diag_unique_sar_optical', 'participation_ratio_sar', 'spread_optical'} <= set(row)


def test_knn_and_linear_scores():
    g = torch.Generator().manual_seed(0)
    centres = torch.eye(3, 8) * 4
    labels = torch.arange(90) % 3
    x = centres[labels] + torch.randn(90, 8, generator=g)
    onehot = torch.nn.functional.one_hot(labels).float()
    from sklearn.neighbors import KNeighborsClassifier
    unit = torch.nn.functional.normalize(x, dim=1)
    # With a high temperature every neighbour counts the same, as in scikit-learn's.
    votes = KNeighborsClassifier(5, metric='cosine').fit(unit[:60], labels[:60]).predict_proba(unit[60:])
    assert torch.allclose(knn_scores(x[:60], onehot[:60], x[60:], k=5, temperature=1e6).double(), torch.from_numpy(votes), atol=1e-5)
    assert score(knn_scores(x[:60], onehot[:60], x[60:]), onehot[60:]) > 90
    constant = torch.cat([x, torch.full((90, 1), 7.)], 1)  # a feature that tells nothing
    logits = linear_scores(constant[:60], onehot[:60], constant[60:])
    assert torch.isfinite(logits).all() and score(logits, onehot[60:]) > 90
    multi = torch.stack([labels == 0, labels != 1], 1).float()
    assert score(linear_scores(x[:60], multi[:60], x[60:], multilabel=True), multi[60:], multilabel=True) > 90
    assert score(torch.tensor([[0.9, 0.1], [0.8, 0.2]]), torch.tensor([[1., 0.], [0., 1.]])) == 50


def _process(rank, folder):
    """Two processes: a probe, then a bad sample that only the second one meets."""
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    distributed = dict(launcher='pytorch', cfg=dict(model_wrapper_cfg=dict(type='GlooDistributedDataParallel', sync_bn=True)))
    probe = dict(type='ProbeHook', k=5, train_dataloader=loader(views=False, size=29, seed=5),
                 test_dataloader=loader(views=False, size=17, seed=6))
    runner = run(f'{folder}/probe', [probe], epochs=1, train=dict(batch_size=4), **distributed)
    results = dict(metrics={k: v for k, v in runner.val_loop.run().items()})
    loop = runner.val_loop
    results['sets'] = [labelled_features(runner.model.module, x) for x in (loop.train_dataloader, loop.dataloader)]
    results['state'] = runner.model.module.state_dict()
    try:
        run(f'{folder}/bad', [dict(type='NonFiniteLossHook')], train=dict(batch_size=4, poison=('optical', 8) if rank else None),
            **distributed)
    except FloatingPointError as error:
        results['error'] = str(error)
    torch.save(results, f'{folder}/{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes(tmp_path):
    run_processes(_process, (str(tmp_path), ), 2)
    first, second = (torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in range(2))
    # Both saw the whole sets, every sample once.
    assert first['metrics'] == second['metrics']
    for found, size in zip(first['sets'], (29, 17)):
        assert len(found['targets']) == len(found['features']['sar']) == size
        assert sorted(found['targets'].argmax(1).tolist()) == sorted(i % 3 for i in range(size))
    # The training itself is that of one process with twice the batch (its sampler hands out every other sample).
    for name, value in first['state'].items():
        torch.testing.assert_close(value, second['state'][name], rtol=1e-5, atol=1e-6)
    # A bad sample of the second process stops both with the same error, and the state is whole.
    assert first['error'] == second['error']
    assert 'the loss is not finite: intra_optical = nan' in first['error'] and "modality 'optical' has values" in first['error']
    saved = load_file(tmp_path / 'bad' / 'last_good_iter_2.pth')
    assert all(torch.isfinite(value).all() for value in saved['state_dict'].values())


def test_the_images_of_a_segmentor_are_named_too():
    """mmseg hands a list of images with the channels of all modalities, each perhaps of another size."""
    hook = HOOKS.build(dict(type='NonFiniteLossHook'))
    modalities = dict(sar=dict(channels=2, bands=('VV', 'VH')), dem=dict(channels=1))
    images = [torch.zeros(3, 4, 5), torch.zeros(3, 6, 6)]
    images[1][1, 2, 3] = images[1][2, 0, 0] = float('nan')
    samples = [DataSample(metainfo=dict(img_path=f'{name}.tif')) for name in 'ab']
    hook._batch = dict(inputs=images, data_samples=samples)
    model = SimpleNamespace(data_preprocessor=SimpleNamespace(modalities=modalities))
    text = hook._describe_inputs(model)
    assert text.count('b.tif') == 2 and "'sar'" in text and 'channels (VH), 1 values' in text and "'dem'" in text and 'a.tif' not in text
    images[1].zero_()
    assert hook._describe_inputs(model) == ''
