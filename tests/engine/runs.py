"""A small data set and runs of a small model on it."""
from pathlib import Path

import torch
from helpers import tiny_encoder
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

import decur  # noqa: F401

CHANNELS = dict(sar=2, optical=3)


@HOOKS.register_module()
class StopAfter(Hook):
    """Write the state after so many steps and end the run."""

    def __init__(self, steps):
        self.steps = steps

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.steps:
            runner.save_checkpoint(runner.work_dir, 'stopped.pth', by_epoch=False)
            raise StopIteration


@DATASETS.register_module()
class StripedImages(Dataset):
    """Two modalities of 3 classes that differ in the direction and spacing of stripes; ``poison`` spoils one sample from an epoch on."""

    def __init__(self, size=24, views=True, labels=True, multilabel=False, poison=None, missing=None, seed=0):
        self.size, self.views, self.labels, self.multilabel = size, views, labels, multilabel
        self.poison, self.missing, self.seed, self.drawn = poison, missing or {}, seed, 0

    def __len__(self):
        return self.size

    def image(self, label, channels, generator):
        y, x = torch.meshgrid(torch.arange(32.), torch.arange(32.), indexing='ij')
        stripes = torch.sin((x, y, x + y)[label] * (0.6 + 0.5 * label) + 6 * torch.rand(1, generator=generator))
        return stripes.expand(channels, 32, 32) + 0.3 * torch.randn(channels, 32, 32, generator=generator)

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(self.seed * 1000 + index)
        label = index % 3
        make = {m: [self.image(label, c, generator) for _ in range(2)] for m, c in CHANNELS.items()}
        self.drawn += 1
        if self.poison and self.drawn > self.poison[1]:
            make[self.poison[0]][0][0, 3, 3] = float('nan')
        sample = DataSample(metainfo=dict(sample_id=f'image{index}'))
        if index in self.missing.get('optical', ()):
            make['optical'] = [torch.zeros_like(x) for x in make['optical']]
            sample.set_field(dict(sar=True, optical=False), 'present', field_type='metainfo')
        if self.labels and self.multilabel:
            sample.set_gt_score(torch.tensor([label == 0, label == 1, label == 2, label == 0]).float())
        elif self.labels:
            sample.set_gt_label(label)
        return dict(inputs=make if self.views else {m: v[0] for m, v in make.items()}, data_samples=sample)


def loader(batch_size=8, shuffle=False, **dataset):
    return dict(batch_size=batch_size, num_workers=0, collate_fn=dict(type='multimodal_collate'),
                sampler=dict(type='DefaultSampler', shuffle=shuffle), dataset=dict(dict(type='StripedImages'), **dataset))


def run(work_dir, hooks, epochs=2, train=None, save_best=None, resume_from=None, lr=1e-3, kind=Runner, checkpoint=None, **kwargs):
    runner = build(work_dir, hooks, epochs, train, save_best, resume_from, lr, kind, checkpoint, **kwargs)
    runner.train()
    return runner


def build(work_dir, hooks=(), epochs=2, train=None, save_best=None, resume_from=None, lr=1e-3, kind=Runner, checkpoint=None, **kwargs):
    torch.manual_seed(0)
    options = dict(
        model=dict(
            type='MultimodalPretraining',
            backbone=dict(type='MultimodalBackbone',
                          modalities={m: dict(channels=c, encoder=tiny_encoder()) for m, c in CHANNELS.items()}),
            neck=dict(type='MultimodalProjector', hid_channels=32, out_channels=32),
            head=dict(type='DeCURHead', common_dim=24)),
        work_dir=str(work_dir),
        train_dataloader=loader(**(train or {})),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr, momentum=0.9)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1),
                           checkpoint=dict(dict(type='CheckpointHook', interval=1, save_best=save_best), **(checkpoint or {}))),
        custom_hooks=hooks,
        randomness=dict(seed=1),
        experiment_name=f'{Path(work_dir).parent.name}_{Path(work_dir).name}',
        load_from=resume_from,
        resume=resume_from is not None)
    return kind(**{**options, **kwargs})
