"""Accumulating gradients does not enlarge the batch of the objective, and a run that does says so."""
import pytest
from runs import build

from decur.engine import MultimodalRunner


@pytest.mark.parametrize('count', [1, 4])
def test_a_run_says_what_accumulation_does_not_do(tmp_path, monkeypatch, count):
    optim = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3), accumulative_counts=count)
    runner = build(tmp_path, kind=MultimodalRunner, optim_wrapper=optim)
    said = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args, **kwargs: said.append(text))
    runner._check(runner._check_training)
    texts = [text for text in said if 'accumulative_counts' in text]
    assert bool(texts) == (count > 1)
    if texts:
        assert 'batches of 8' in texts[0] and 'train_dataloader.batch_size=32 model.micro_batch=8' in texts[0]
