"""A batch that a worker cannot send is an error, where PyTorch alone would wait for it for ever."""
import resource
import signal

import pytest
import torch
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader

from decur.datasets import SharedCollate, multimodal_collate
from decur.errors import DataError, exit_on_bad_input

#: Seconds after which PyTorch gives up: only where what is tested does not work.
TIMEOUT = 120


class Images(torch.utils.data.Dataset):
    def __init__(self, sample):
        self.sample = sample

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.sample(index)


def limit_files(worker_id):
    """As a full /dev/shm does: a file of that size cannot be made."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def batches(sample, **kwargs):
    return list(DataLoader(Images(sample), 2, num_workers=1, collate_fn=SharedCollate(list), timeout=TIMEOUT, **kwargs))


@pytest.mark.parametrize('wrap', [lambda x: x, lambda x: dict(inputs=dict(sar=[x, x])), lambda x: (1, dict(label=PixelData(data=x)))])
def test_no_shared_memory_is_said(wrap, capsys):
    with pytest.raises(SystemExit), exit_on_bad_input():
        batches(lambda index: wrap(torch.zeros(1, 256, 256)), worker_init_fn=limit_files)
    line = capsys.readouterr().err.strip()
    assert line.startswith('error: a process that loads data gets no shared memory for a batch of ') and '\n' not in line
    assert 'File too large' in line and 'num_workers=0' in line


def test_what_cannot_be_sent_for_another_reason_is_said():
    """A function cannot be pickled; PyTorch would drop the batch."""
    with pytest.raises(DataError, match="a batch cannot be sent to the training: .*Can't pickle"):
        batches(lambda index: (lambda: 0))


def test_what_can_be_sent_arrives_unchanged():
    sample = lambda index: dict(x=torch.arange(6.).view(2, 3)[:, index:] + index, label=PixelData(data=torch.ones(1, 2, 3)), name='a')  # noqa: E731
    found, = batches(sample)
    alone = SharedCollate(list)([sample(0), sample(1)])
    for a, b in zip(found, alone, strict=True):
        assert torch.equal(a['x'], b['x']) and torch.equal(a['label'].data, b['label'].data) and a['name'] == 'a'
    assert not alone[0]['x'].is_shared()  # in this process nothing is moved


def test_errors_of_samples_pass():
    def bad(index):
        raise DataError(f'sample {index} is damaged.')

    with pytest.raises(DataError, match='sample 0 is damaged'):
        batches(bad)


def test_images_of_several_shapes_are_named():
    def packed(name, side):
        return dict(inputs=dict(sar=[torch.zeros(2, side, side)] * 2), data_samples=DataSample(metainfo=dict(sample_id=name)))

    with pytest.raises(DataError, match=r"modality 'sar': images of a batch differ in shape, \(2, 4, 4\) of sample 'a' and \(2, 5, 5\) of "
                                        r"sample 'b'"):
        multimodal_collate([packed('a', 4), packed('b', 5)])
