"""Testing on other floods without their labels: the flood's own statistics, flips, and the table."""
import numpy as np
import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from ombria_study import shift
from ombria_study.scores import GROUPS
from torch import nn


class Preprocessor(nn.Module):
    """Standardizes two bands that lie in the other order in the files."""

    order = [1, 0]

    def __init__(self):
        super().__init__()
        self.register_buffer('mean', torch.tensor([10., 20.]).reshape(2, 1, 1))
        self.register_buffer('std', torch.tensor([2., 4.]).reshape(2, 1, 1))

    def forward(self, data, training):
        return dict(inputs=torch.stack([(x[self.order].float() - self.mean) / self.std for x in data['inputs']]),
                    data_samples=data['data_samples'])


class Model(nn.Module):
    """Finds flood where the first band, normalized, is large; sees a step to the right of every pixel."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor, self.norm = Preprocessor(), nn.BatchNorm2d(2)
        self.eval()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.norm(inputs)

    def test_step(self, batch):
        x = self(**self.data_preprocessor(batch, False)).roll(-1, dims=-1)[:, 0]
        for logit, sample in zip(x, batch['data_samples']):
            sample.seg_logits = PixelData(data=torch.stack([torch.zeros_like(logit), logit]))
        return batch['data_samples']


def batch(seed=0, count=3):
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for _ in range(count):
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 2, (1, 4, 6), generator=generator))))
    images = [torch.randint(0, 255, (2, 4, 6), generator=generator, dtype=torch.uint8) for _ in range(count)]
    return dict(inputs=images, data_samples=samples)


def test_a_flood_s_own_statistics_standardize_its_bands():
    batches, model = [batch(0), batch(1, 2)], Model()
    mean, std = shift.statistics(batches)
    pixels = torch.stack([x for b in batches for x in b['inputs']]).double()
    assert torch.allclose(mean.flatten().double(), pixels.mean(dim=(0, 2, 3))) and mean.shape == (2, 1, 1)
    assert torch.allclose(std.flatten().double(), pixels.std(dim=(0, 2, 3), unbiased=False))
    ready = shift.adapted(model, batches, 'inputs')
    seen = torch.cat([ready.data_preprocessor(b, False)['inputs'] for b in batches])
    assert torch.allclose(seen.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(seen.std(dim=(0, 2, 3), unbiased=False), torch.ones(2), atol=1e-5)
    assert model.data_preprocessor.mean.flatten().tolist() == [10, 20]  # of the model itself nothing changed


def test_batch_normalization_takes_the_mean_over_all_batches():
    batches, model = [batch(0), batch(1)], Model()
    ready = shift.adapted(model, batches, 'batch_norm')
    inputs = [model.data_preprocessor(b, False)['inputs'] for b in batches]
    assert torch.allclose(ready.norm.running_mean, torch.stack([x.mean(dim=(0, 2, 3)) for x in inputs]).mean(dim=0), rtol=1e-5)
    assert not any(layer.training for layer in ready.modules()) and model.norm.running_mean.tolist() == [0, 0]
    for variant in ('released', 'flips'):
        assert torch.equal(shift.adapted(model, batches, variant).norm.running_mean, model.norm.running_mean)


def test_the_mean_over_flips_is_the_same_for_a_flipped_chip():
    model, data = Model(), batch()
    plain, flipped = (shift.probabilities(model, data, flips) for flips in (False, True))
    logits = model(**model.data_preprocessor(data, False)).roll(-1, dims=-1)[:, 0]
    assert torch.allclose(plain, logits.sigmoid(), atol=1e-6) and plain.shape == (3, 4, 6)
    for axis in (1, 2):
        mirrored = dict(data, inputs=[x.flip(axis) for x in data['inputs']])
        assert torch.allclose(shift.probabilities(model, mirrored, True).flip(axis), flipped, atol=1e-6)
        assert axis == 1 or not torch.allclose(shift.probabilities(model, mirrored).flip(axis), plain, atol=1e-3)


def test_counts_of_every_way_and_their_table():
    chips = {event: [batch(seed)] for seed, event in enumerate(shift.EVENTS)}
    found = [dict(arm='decur', subset=str(subset), **row) for subset in (0, 1) for row in shift.measure_events(Model(), chips, 0.3)]
    assert [row['variant'] for row in found[:4]] == list(shift.VARIANTS) and all(set(row) == set(shift.COLUMNS) for row in found)
    truth = np.stack([sample.gt_sem_seg.data[0].numpy() for sample in chips['timor'][0]['data_samples']])
    for row in found:
        assert int(row['timor_tp']) + int(row['timor_fn']) == truth.sum() == int(row['timor_tp_fitted']) + int(row['timor_fn_fitted'])
        assert int(row['timor_tp']) <= int(row['timor_tp_fitted'])  # the lower threshold finds more
    table = shift.shift_table(found, Config(dict(arms=dict(decur=dict(label='DeCUR')))))
    assert table.count('\n') == 5 and '| DeCUR: nothing |' in table and '+0.0' not in table.splitlines()[2]
    assert shift.EVENTS == GROUPS[1:]


def test_a_table_of_something_else(tmp_path):
    tool = pytest.importorskip('ombria_shift')
    (tmp_path / 'shift.csv').write_text('arm,subset\nrandom,0\n')
    with pytest.raises(tool.DataError, match='shift.csv is no table'):
        tool.read_rows(tmp_path / 'shift.csv')


def test_the_page_says_what_its_records_say():
    tool = pytest.importorskip('ombria_shift')
    table = shift.shift_table(tool.read_rows(ROOT / 'docs' / 'ombria_shift.csv'), Config.fromfile(ROOT / 'configs' / 'ombria' / 'study.py'))
    assert f'<!-- shift -->\n{table}\n<!-- /shift -->' in (ROOT / 'docs' / 'ombria.md').read_text()
