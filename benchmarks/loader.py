"""How a loader over the compact store grows with its workers, and how long BigEarthNet takes to start.

Samples are read, brought to 8 bit and augmented as for pretraining (``configs/decur/ssl4eo_s1-s2_r50_decur.py``). A loader with W workers
is timed by the wall clock from its first to its last batch (the start of the processes is left out); numbers of workers take turns. The
efficiency is the throughput with W workers over W times that with one. Workers beyond the free cores cannot be efficient.

    python benchmarks/loader.py SSL4EO_FOLDER_OR_STORE [--workers 1 2] [--samples 512] [--rounds 3]
    python benchmarks/loader.py --start [--patches 590326]
"""
import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import worker_init_fn
from torch.utils.data import DataLoader, Dataset

import decur  # noqa: F401  registers everything
from decur.binding import bind
from decur.datasets import BigEarthNetDataset, SSL4EODataset, multimodal_collate
from decur.datasets.bigearthnet import LABELS, ROOTS, folder_state
from decur.prepare.ssl4eo import prepare
from decur.readers.store import is_store
from decur.readers.table import Table
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS

ROOT = Path(__file__).resolve().parents[1]


class Repeated(Dataset):
    """The samples of a dataset again and again, as many as asked for."""

    def __init__(self, dataset, count: int):
        self.dataset, self.count = dataset, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        return self.dataset[index]


def _prepare_worker(worker_id: int) -> None:
    cv2.setNumThreads(1)
    worker_init_fn(worker_id, num_workers=1, rank=0, seed=0)


def throughput(dataset, workers: int, samples: int, batch_size: int) -> float:
    """Samples per second of a loader, from its first batch to its last."""
    # The queue is full when the clock starts, so as many more batches are drawn first as the workers hold.
    warm = 2 * workers + 1
    loader = DataLoader(Repeated(dataset, samples + warm * batch_size), batch_size, num_workers=workers, collate_fn=multimodal_collate,
                        worker_init_fn=_prepare_worker, drop_last=True)
    batches = iter(loader)
    for _ in range(warm):
        next(batches)
    start, count = time.perf_counter(), 0
    for _ in batches:
        count += batch_size
    return count / (time.perf_counter() - start)


def measure_loader(args, folder: Path) -> dict:
    """Throughput and efficiency by number of workers."""
    source = Path(args.src)
    if not is_store(source):
        prepare(source, folder / 'store')
        source = folder / 'store'
    cfg = bind(Config.fromfile(ROOT / 'configs' / 'decur' / 'ssl4eo_s1-s2_r50_decur.py'))
    dataset_cfg = dict(cfg.train_dataloader.dataset, data_root=str(source))
    dataset_cfg.pop('type')
    dataset = SSL4EODataset(**dataset_cfg)
    dataset.seed = 0
    rates: dict = {workers: [] for workers in sorted({1, *args.workers})}
    for _ in range(args.rounds):
        for workers, values in rates.items():
            values.append(throughput(dataset, workers, args.samples, args.batch_size))
    result = {}
    for workers, values in rates.items():
        rate = float(np.median(values))
        efficiency = rate / (workers * float(np.median(rates[1])))
        result[workers] = dict(samples_per_second=rate, efficiency=efficiency)
        print(f'{workers} worker(s): {rate:7.1f} samples/s, efficiency {efficiency:.2f}')
    print(f'{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}')
    return result


def measure_start(patches: int, folder: Path) -> dict:
    """Seconds to start BigEarthNet, both sensors, from an index of as many patches."""
    root = folder / 'ben'
    for name in ROOTS['v1']:
        (root / name).mkdir(parents=True)
    places = [f'{i // 9000}_{i % 9000 // 90}_{i % 90}' for i in range(patches)]
    names = [f'S2A_MSIL2A_20170613T101031_{place}' for place in places]
    bits = np.random.default_rng(0).integers(1, 1 << 43, patches).astype(np.uint64)
    Table(dict(id=names, s2=names, s1=[f'S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{place}' for place in places], split=[''] * patches,
               labels=bits), dict(version='v1', labels=LABELS, state=folder_state(root, 'v1'))).save(root / 'decur_index_v1.safetensors')
    (root / 'train.csv').write_text('\n'.join(names))
    entries = dict(
        sar=dict(channels=2, files=dict(sensor='s1'), reader=dict(type='BandReader', bands=S1_BANDS, size=120)),
        optical=dict(channels=12, files=dict(sensor='s2'), reader=dict(type='BandReader', bands=BIGEARTHNET_BANDS['s2'], size=120)))
    seconds = {}
    for name, kwargs in (('all patches', {}), ('a split file that lists all', dict(split='train.csv')), ('1 %', dict(fraction=.01))):
        start = time.perf_counter()
        dataset = BigEarthNetDataset(entries, str(root), pipeline=[], **kwargs)
        dataset[len(dataset) - 1]
        seconds[name] = time.perf_counter() - start
        print(f'start from the index of {patches} patches, {name}: {seconds[name]:.2f} s ({len(dataset)} samples)')
    return seconds


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', nargs='?', help='a store of SSL4EO-S12, or the folder of s1 and s2c')
    parser.add_argument('--workers', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--samples', type=int, default=512, help='per round')
    parser.add_argument('--batch-size', type=int, default=64, help='default: that of the config')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--start', action='store_true', help='measure the start of BigEarthNet')
    parser.add_argument('--patches', type=int, default=590_326)
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args()
    if not args.src and not args.start:
        parser.error('give SRC, or --start')
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    record: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.start:
            record['start'] = measure_start(args.patches, Path(folder))
        if args.src:
            record['loader'] = measure_loader(args, Path(folder))
    if args.out:
        Path(args.out).write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
