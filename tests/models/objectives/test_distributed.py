"""W processes against one on the concatenated batch, over gloo."""
import distributed_worker as worker
import pytest
import torch
from forked import run_processes

from decur.models import decur_loss


@pytest.fixture(scope='module', params=[[3, 4], pytest.param([2, 3, 1, 5], marks=pytest.mark.slow)], ids=['W=2', 'W=4'])
def runs(request, tmp_path_factory):
    counts = request.param
    folder = tmp_path_factory.mktemp('gloo')
    run_processes(worker.run, (counts, str(folder)), len(counts))
    results = [torch.load(folder / f'{rank}.pt', weights_only=True) for rank in range(len(counts))]
    return counts, results, worker.cases([sum(counts)], 0)


def relative(got, want):
    a, b = (torch.cat([g.double().flatten() for g in grads.values()]) for grads in (got, want))
    assert list(got) == list(want)
    return float((a - b).norm() / b.norm())


def same_values(got, want, tolerance):
    assert list(got) == list(want)
    for name, value in want.items():
        assert float(got[name]) == pytest.approx(float(value), rel=tolerance, abs=1e-12), name


@pytest.mark.parametrize('name', worker.LOSSES)
def test_loss_and_gradients_equal_one_process(runs, name):
    counts, results, alone = runs
    for case, tolerance in (('float32', 1e-5), ('masked', 1e-10)):
        for result in results:
            same_values(result[name, case]['out'], alone[name, case]['out'], tolerance)
            assert relative(result[name, case]['grads'], alone[name, case]['grads']) < tolerance


def test_published_scale_is_one_over_the_number_of_processes(runs):
    counts, results, alone = runs
    for result in results:
        scaled = {name: grad * len(counts) for name, grad in result['decur', 'published']['grads'].items()}
        assert relative(scaled, alone['decur', 'published']['grads']) < 1e-10


def test_masks_on_one_process_only(runs):
    _, results, alone = runs
    for result in results:
        same_values(result['decur', 'one rank masked']['out'], alone['decur', 'one rank masked']['out'], 1e-10)
        assert relative(result['decur', 'one rank masked']['grads'], alone['decur', 'one rank masked']['grads']) < 1e-10


@pytest.mark.parametrize('case', ['model', ('model', 'extended'), ('model', 'some'), ('model', 'one a'), ('model', 'none')])
def test_whole_model_with_batch_statistics_over_processes(runs, case):
    """All samples complete; or some without a modality, down to processes that have none of it and to nobody who has two."""
    _, results, alone = runs
    for result in results:
        same_values(result[case]['out'], alone[case]['out'], 1e-8)
        if case == ('model', 'none'):
            assert all(not grad.any() for grad in result[case]['grads'].values())
        else:
            assert relative(result[case]['grads'], alone[case]['grads']) < 1e-7
        for part in ('features', 'buffers'):
            for name, value in alone[case][part].items():
                torch.testing.assert_close(result[case][part][name], value, rtol=1e-9, atol=1e-9)


def test_lacking_samples_need_batch_statistics_over_processes(runs):
    assert all("set sync_bn = 'torch'" in result['unsynced'] for result in runs[1])


def test_a_process_without_samples(runs):
    _, results, _ = runs
    want = decur_loss(worker.make_embeddings('ab', 6, worker.WIDTH), 9)['loss']
    assert float(results[0]['empty process']) == pytest.approx(float(want), rel=1e-6)


def test_processes_that_disagree_stop(runs):
    _, results, _ = runs
    assert all('processes disagree' in result['other names'] for result in results)
