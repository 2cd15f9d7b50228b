"""Pretraining from files to updated weights: samples per second, ours beside the published code's form, and where the time goes.

Both train the model of a config from the same generated tar shards with the same optimiser on the same device, in turns. `published`
augments in channel-last float arithmetic (benchmarks/augmentation.py), has the K x K loss (benchmarks/loss.py), computes in float32, and
gives freed memory back to the system; `ours` is what tools/train.py runs, `amp` what it runs with --amp (bfloat16). `waiting` is the share
of the time in which the step waits for data: where it is large, the loader is what limits. On a CPU that others use too, the processor
time of the training process (without its workers) is what can be compared.

    python benchmarks/end_to_end.py [CONFIG] [--workers 1 2] [--batch-size 16] [--size 224] [--steps 4] [--kinds published ours amp]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from augmentation import FloatArithmetic
from loss import published_form
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.runner import Runner

import decur
from decur.engine import MultimodalRunner
from decur.engine.launch import prepare
from decur.models.objectives.objective import ObjectiveHead
from decur.transforms import ViewAugmentation

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT / 'configs' / 'decur' / 'ssl4eo-v11-shards_s1-s2_r50_decur.py'
KINDS = ('published', 'ours', 'amp')


@TRANSFORMS.register_module()
class PublishedAugmentation(ViewAugmentation):
    """The augmentation as the published pipelines write it."""

    def __call__(self, image, view=0, geometry=None, **kwargs):
        """One view."""
        return FloatArithmetic(self)(image, view)


@MODELS.register_module()
class PublishedHead(ObjectiveHead):
    """DeCUR's loss by K x K matrices."""

    num_views = 2

    def __init__(self, common_dim: int, **kwargs):
        super().__init__()
        self.common_dim = common_dim

    def loss(self, embeddings, present=None):
        """In float32, as it was trained."""
        return published_form(embeddings, self.common_dim)


def build(args, kind: str, workers: int) -> MultimodalRunner:
    """A runner whose loader never ends within a measurement."""
    cfg = Config.fromfile(args.config)
    cfg.train_dataloader.update(batch_size=args.batch_size, num_workers=workers, persistent_workers=workers > 0)
    cfg.train_dataloader.dataset.data_root = args.folder
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1 << 20)
    cfg.update(work_dir=args.work_dir, custom_hooks=[], default_hooks=dict(checkpoint=None, logger=None), log_level='ERROR')
    for entry in cfg.modalities.values():
        entry.encoder.init_cfg = None
        entry.augmentation.size = args.size
        if kind == 'published':
            entry.augmentation.type = 'PublishedAugmentation'
    if args.width:
        cfg.model.neck.update(hid_channels=args.width, out_channels=args.width)
        cfg.model.head.common_dim = args.width * 7 // 8
    if kind == 'published':
        cfg.model.head.type = 'PublishedHead'
    else:
        cfg = prepare(cfg, amp=kind == 'amp')
    return MultimodalRunner.from_cfg(decur.bind(cfg))


def measure(args, kind: str, workers: int) -> dict:
    """Samples per second and the share of the time in which the step waited, from one full queue on."""
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    runner = build(args, kind, workers)
    loader, model = Runner.build_dataloader(runner._train_dataloader, seed=0), runner.model.train()
    optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    cuda, waits, ends, processor = torch.cuda.is_available(), [], [], []
    batches = iter(loader)
    for _ in range(args.warmup + args.steps):
        start, before = time.perf_counter(), time.process_time()
        data = next(batches)
        waits.append(time.perf_counter() - start)
        model.train_step(data, optim_wrapper)
        if cuda:
            torch.cuda.synchronize()
        ends.append(time.perf_counter() - start)
        processor.append(time.process_time() - before)
    waits, ends, processor = waits[args.warmup:], ends[args.warmup:], processor[args.warmup:]
    return dict(samples_per_second=args.batch_size / statistics.mean(ends), waiting=sum(waits) / sum(ends),
                processor_seconds=statistics.mean(processor) / args.batch_size)


def main() -> None:
    """Measure every kind and number of workers in a process of its own, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default=str(DEFAULT))
    parser.add_argument('--workers', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--batch-size', type=int, default=256 if torch.cuda.is_available() else 16)
    parser.add_argument('--size', type=int, default=224, help='side of the views, pixels')
    parser.add_argument('--width', type=int, help="of the projectors; default: the config's")
    parser.add_argument('--samples', type=int, default=128, help='locations to generate')
    parser.add_argument('--steps', type=int, default=4)
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS))
    parser.add_argument('--folder', help='shards that are there; default: generated')
    parser.add_argument('--work-dir', default='work_dirs/benchmarks/end_to_end')
    parser.add_argument('--only', nargs=2, metavar=('KIND', 'WORKERS'), help='measure one, and print its figures as JSON')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args, args.only[0], int(args.only[1]))))
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU, {args.threads} threads'
    print(f'{Path(args.config).stem}, batch {args.batch_size}, views of {args.size} px, on {device}, {len(os.sched_getaffinity(0))} cores')
    record: dict = dict(device=device, batch_size=args.batch_size, size=args.size, runs=[])
    with tempfile.TemporaryDirectory() as folder:
        if not args.folder:
            args.folder = folder
            subprocess.run([sys.executable, ROOT / 'tools' / 'generate_dataset.py', 'shards', folder, '--release', 'ssl4eo', '--num-train',
                            str(args.samples), '--num-val', '1', '--size', '264'], check=True, stdout=subprocess.DEVNULL, timeout=3600)
        for turn in range(args.rounds):
            for workers in args.workers:
                for kind in args.kinds:
                    command = [sys.executable, *sys.argv, '--folder', args.folder, '--only', kind, str(workers)]
                    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
                    if done.returncode:
                        sys.exit(done.stderr)
                    record['runs'].append(dict(json.loads(done.stdout.splitlines()[-1]), kind=kind, workers=workers, round=turn))
    for workers in args.workers:
        rates, seconds = {}, {}
        for kind in args.kinds:
            runs = [run for run in record['runs'] if run['kind'] == kind and run['workers'] == workers]
            rates[kind] = statistics.median(run['samples_per_second'] for run in runs)
            seconds[kind] = statistics.median(run['processor_seconds'] for run in runs)
            ratio, cost = rates[kind] / rates[args.kinds[0]], seconds[args.kinds[0]] / seconds[kind]
            waiting = statistics.median(run['waiting'] for run in runs)
            print(f'{workers} worker(s), {kind:>9}: {rates[kind]:.3g} samples/s, {ratio:.2f} x {args.kinds[0]} '
                  f'(by processor time {cost:.2f} x: {seconds[kind]:.3g} s for a sample), '
                  f'waiting for data {100 * waiting:.0f} %', flush=True)
    if args.out:
        Path(args.out).write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
