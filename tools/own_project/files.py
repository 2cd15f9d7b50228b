"""The files of a project: configs, lists and a README. What was written and nobody changed is written again by the next call; what
somebody edited is kept.
"""
import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from decur.errors import ConfigError
from decur.writing import output_folder, write_bytes

from .data import Found
from .proposals import KINDS, Plan, augmentation

#: What was written, with its checksum: how an edited file is told from one that may be written again.
RECORD = '.decur-project.json'


def indoor(found: Found) -> bool:
    """Whether the data are images of a camera that stands upright: one of the modalities is HHA, or called depth."""
    return 'hha' in found.kinds.values() or any('depth' in name for name in found.kinds)


def tile_size(found: Found, size: int) -> int | None:
    """Side of the tiles that large images are cut into; None where an image is a sample as it is."""
    side = max(2 * size, 128)
    return side if found.one_size and found.side >= 2 * side else None


def count_samples(found: Found, ids: Sequence, size: int) -> int:
    """Samples of pretraining."""
    tile = tile_size(found, size)
    return len(ids) * (found.side // tile)**2 if tile else len(ids)


def write(found: Found, plan: Plan, split: tuple, out: str | Path, force: bool = False) -> dict:
    """Write the project.

    Args:
        found (Found): The data.
        plan (Plan): Encoder and schedule.
        split (tuple): As from :func:`~own_project.proposals.split_ids`.
        out (str | Path): The project's folder.
        force (bool): Write over files that were edited. Defaults to False.

    Returns:
        dict: ``{path relative to out: 'written' | 'as before' | 'kept, since it was edited'}``.

    Raises:
        ConfigError: If ``out`` lies in the folder of the data, where it would be taken for a modality.
        WriteError: If it cannot be written.
    """
    out = Path(out)
    if out.resolve().is_relative_to(found.root.resolve()):
        raise ConfigError(f'{out} lies in the folder of the data: give another place with --out.')
    output_folder(out)
    files = _files(found, plan, split, out)
    record = out / RECORD
    before = json.loads(record.read_text(encoding='utf-8')) if record.is_file() else {}
    state = {}
    for name, text in files.items():
        path, data = out / name, text.encode()
        now = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        if now == hashlib.sha256(data).hexdigest():
            state[name] = 'as before'
        elif now is not None and now != before.get(name) and not force:
            state[name] = 'kept, since it was edited'
            continue
        else:
            output_folder(path.parent)
            write_bytes(path, data)
            state[name] = 'written'
        before[name] = hashlib.sha256(data).hexdigest()
    write_bytes(record, (json.dumps(before, indent=1) + '\n').encode())
    return state


def _files(found: Found, plan: Plan, split: tuple, out: Path) -> dict:
    """``{path: text}`` of all files of a project."""
    train, test, how = split
    tile = tile_size(found, plan.size)
    entries = {}
    for name, entry in found.entries.items():
        entries[name] = dict(entry, augmentation=augmentation(found.kinds[name], plan.size, found.ranges[name], indoor(found)),
                             encoder=dict(plan.encoder))
    head = '\n'.join(f'# {name}: {KINDS[kind][0]} ({kind})' for name, kind in found.kinds.items())
    files = {
        'splits/train.txt': ''.join(f'{name}\n' for name in train),
        'splits/test.txt': ''.join(f'{name}\n' for name in test),
        'configs/modalities.py': '# What every config of the project shares: the modalities, with statistics of a sample of the images, '
                                 f'and how they are augmented.\n{head}\n' + Config(dict(modalities=entries)).pretty_text,
        'configs/pretrain.py': _pretrain(found, plan, tile),
        'README.md': _readme(found, plan, train, test, how, out, tile),
    }
    if found.labels:
        files['configs/finetune.py'] = _finetune(found, plan, tile)
        files['configs/frozen.py'] = ("# The same with frozen encoders: what their features are worth as they are.\n"
                                      "_base_ = './finetune.py'\nmodel = dict(backbone=dict(frozen=True))\n")
    return files


def _pretrain(found: Found, plan: Plan, tile: int | None) -> str:
    cut = f', tile=dict(tile_size=({tile}, {tile}))' if tile else ''
    return f'''# DeCUR on {found.root.name}. {plan.why}.
_base_ = [
    'decur::_base_/default_runtime.py', 'decur::_base_/datasets/paired_pretraining.py', 'decur::_base_/models/decur.py', './modalities.py'
]
model = dict(
    neck=dict(hid_channels={plan.projector}, out_channels={plan.projector}),
    head=dict(common_dim={plan.projector * 3 // 4}))
train_dataloader = dict(
    batch_size={plan.batch_size},
    num_workers={plan.workers},
    persistent_workers={plan.workers > 0},
    dataset=dict(
        data_root={str(found.root.resolve())!r}, split='{{{{ fileDirname }}}}/../splits/train.txt'{cut},
        # The views of one sample show the same ground in all modalities. False, as published: each modality draws its own.
        pipeline=[dict(type='LoadModalities'), dict(type='MakeViews', aligned=True), dict(type='PackModalities')]))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr={plan.lr}, weight_decay=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', T_max={plan.epochs}, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs={plan.epochs})
default_hooks = dict(logger=dict(interval=10))
'''


def _finetune(found: Found, plan: Plan, tile: int | None) -> str:
    labels = found.labels
    names = tuple(name for name in labels.values.values() if name is not None)
    batch = max(min(plan.batch_size, 16), 2)
    cut = f', tile=dict(tile_size=({tile}, {tile}))' if tile else ''
    count = f', tile=dict(tile_size=({tile}, {tile}), count_once=True)' if tile else ''
    crop = ''
    if not tile and not found.one_size:
        crop = f'''train_pipeline = [
    dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities'),
    dict(type='RandomCrop', crop_size=({min(found.side, plan.size)}, {min(found.side, plan.size)})), dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
'''
        cut += ', pipeline=train_pipeline'
    return f'''# Segmentation of {found.root.name} with the encoders of the pretraining: model.backbone.pretrained=CHECKPOINT.
_base_ = [
    'decur::_base_/default_runtime.py', 'decur::_base_/datasets/paired_segmentation.py', 'decur::_base_/models/fcn_multi_level.py',
    './modalities.py'
]
data = dict(
    data_root={str(found.root.resolve())!r},
    label=dict({", ".join(f"{key}={value!r}" for key, value in labels.files.items())}),
    # Value in the files: class, or None for void.
    label_values={labels.values!r},
    metainfo=dict(classes={names!r}))
{crop}train_dataloader = dict(
    batch_size={batch}, num_workers={plan.workers}, persistent_workers={plan.workers > 0},
    dataset=dict(split='{{{{ fileDirname }}}}/../splits/train.txt'{cut}, **data))
test_dataloader = dict(
    num_workers={plan.workers}, persistent_workers={plan.workers > 0},
    dataset=dict(split='{{{{ fileDirname }}}}/../splits/test.txt'{count}, **data))
model = dict(decode_head=dict(num_classes={len(names)}))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={{'decode_head': dict(lr_mult=10.0)}}))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end={plan.iterations}, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters={plan.iterations}, val_interval={plan.iterations * 1000})
default_hooks = dict(checkpoint=dict(by_epoch=False, interval={plan.iterations}))
'''


def _readme(found: Found, plan: Plan, train: Sequence, test: Sequence, how: str, out: Path, tile: int | None) -> str:
    here = shlex.quote(os.path.relpath(out))
    kept = {
        'folder': 'the samples of a folder stay on one side',
        'scene': 'samples whose names differ in their last number only stay on one side',
        'sample': 'the names tell no scenes apart; if neighbouring tiles are among them, make a split by place yourself'
    }[how]
    tiles = f' Images are cut into tiles of {tile} pixels.' if tile else ''
    weights = f'model.backbone.pretrained={here}/work_dirs/pretrain/epoch_{plan.epochs}.pth'
    rows = '\n'.join(f'| {name} | {KINDS[kind][0]} | {found.entries[name]["channels"]} | `{found.entries[name]["files"]["folder"]}` |'
                     for name, kind in found.kinds.items())
    broken = ''.join(f'- `{name}` is left out: {reason}\n' for name, reason in found.broken.items())
    gaps = ''.join(f'- {number} sample(s) lack `{name}` and are left out.\n' for name, number in found.gaps.items())
    notes = ''.join(f'- {note}.\n' for note in found.notes)
    transfer = f'''
Transfer to the labels, fine-tuned and with frozen encoders, and the same from random encoders (leave `model.backbone.pretrained` out):

```bash
decur train {here}/configs/finetune.py --work-dir {here}/work_dirs/finetune --cfg-options {weights}
decur test {here}/configs/finetune.py {here}/work_dirs/finetune/iter_{plan.iterations}.pth --work-dir {here}/work_dirs/finetune
```
''' if found.labels else '''
There are no labels in the data; `decur.load` and `decur features` give the encoders' features.
'''
    return f'''# {found.root.name}

| modality | kind | channels | folder |
|---|---|---|---|
{rows}

{len(found.ids)} samples, {len(train)} to train and {len(test)} to test ({kept}).{tiles}
{plan.why}.

{gaps}{broken}{notes}
Look at `views.png` first: what the augmentation does to your data. Then pretrain:

```bash
decur train {here}/configs/pretrain.py --work-dir {here}/work_dirs/pretrain
```
{transfer}
What to change where: statistics and augmentation in `configs/modalities.py`; batch size, epochs and learning rate in
`configs/pretrain.py`. The configs inherit from `decur::_base_`; `decur init` called again keeps the files that you edited.
'''
