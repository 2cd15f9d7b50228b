"""Samples per second of a whole pretraining step, and what share of it each part takes.

python benchmarks/pretraining.py                                    # ResNet50, 224 px, two modalities, batch 16 (CPU) or 64 and 256 (GPU)
python benchmarks/pretraining.py --batch-size 16 --steps 3 --threads 2
The model, optimiser and schedule are those of a config; the images are random tensors, so reading and augmenting them is not in it. The
step is the one that training takes. It is timed twice: as a whole, and cut at its parts: preprocessor, encoders, projectors, objective
(each forward and backward), optimiser, and the rest (logging of the losses). On a CPU freed memory is kept, as in training; on a GPU the
forward pass runs in bfloat16 autocast.
"""
import argparse
import contextlib
import json
import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

import decur  # noqa: F401
from decur.binding import bind
from decur.engine.allocator import keep_freed_memory

PARTS = ('preprocessor', 'encoders', 'projectors', 'objective', 'optimizer', 'rest')
DEFAULT = Path(__file__).resolve().parents[1] / 'configs' / 'decur' / 'sunrgbd_rgb-hha_r50_decur.py'


class Clock:
    """Adds up seconds by part; waits for a GPU at every cut."""

    def __init__(self, device):
        self.device, self.seconds, self.last = device, dict.fromkeys(PARTS, 0.), None

    def now(self):
        """Seconds, once the device is done."""
        if self.device != 'cpu':
            torch.cuda.synchronize()
        return time.perf_counter()

    def start(self):
        """Begin to count."""
        self.last = self.now()

    def cut(self, part):
        """What passed since the last cut belongs to ``part``."""
        now = self.now()
        self.seconds[part] += now - self.last
        self.last = now


def detached(tensors):
    """Leaves with the same values, to cut the backward pass there."""
    return {name: x.detach().requires_grad_() for name, x in tensors.items()}


def cut_step(model, optim_wrapper, data, clock, autocast):
    """One training step, cut at its parts. The same computation as ``train_step``."""
    clock.start()
    with autocast():
        inputs = model.data_preprocessor(data, True)['inputs']
        clock.cut('preprocessor')
        graph = []
        for view in range(2):
            features = model.extract_feat({name: views[view] for name, views in inputs.items()})
            leaves = detached(features)
            clock.cut('encoders')
            embeddings = model.neck(leaves)
            graph.append((features, leaves, embeddings, detached(embeddings)))
            clock.cut('projectors')
        losses = model.head.loss({name: tuple(parts[3][name] for parts in graph) for name in inputs})
        clock.cut('objective')
    loss, _ = model.parse_losses(losses)
    clock.cut('rest')
    loss.backward()
    clock.cut('objective')
    for features, leaves, embeddings, ends in graph:
        torch.autograd.backward(list(embeddings.values()), [ends[name].grad for name in embeddings])
        clock.cut('projectors')
        torch.autograd.backward(list(features.values()), [leaves[name].grad for name in features])
        clock.cut('encoders')
    optim_wrapper.step()
    optim_wrapper.zero_grad()
    clock.cut('optimizer')


def bench(cfg, batch_size, size, steps, warmup, device):
    """Seconds of whole steps and of the parts, for one batch size."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model = model.to(device).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    data = dict(
        inputs={name: [torch.randint(0, 256, (batch_size, entry['channels'], size, size), dtype=torch.uint8) for _ in range(2)]
                for name, entry in model.modalities.items()},
        data_samples=[])

    def autocast():
        return torch.autocast('cuda', dtype=torch.bfloat16) if device != 'cpu' else contextlib.nullcontext()

    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
    whole, clocks = [], []
    for step in range(warmup + steps):
        clock = Clock(device)
        start = clock.now()
        with autocast():
            inputs = model.data_preprocessor(data, True)
            losses = model(**inputs, mode='loss')
        optim_wrapper.update_params(model.parse_losses(losses)[0])
        elapsed = clock.now() - start
        cut_step(model, optim_wrapper, data, clock, autocast)
        if step >= warmup:
            whole.append(elapsed)
            clocks.append(clock.seconds)
    peak = torch.cuda.max_memory_allocated() if device != 'cpu' else None
    return whole, clocks, peak


def main():
    """Print the table, and write it as json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default=str(DEFAULT), help='a pretraining config')
    parser.add_argument('--batch-size', type=int, nargs='+', help='default: 16 on a CPU, 64 and 256 on a GPU')
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--steps', type=int, default=3)
    parser.add_argument('--warmup', type=int, default=1)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks/pretraining.json'))
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.device == 'cpu':
        keep_freed_memory()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg = bind(cfg)
    on_gpu = args.device != 'cpu'
    name = torch.cuda.get_device_name() if on_gpu else f'CPU, {args.threads} threads'
    precision = 'bfloat16 autocast' if on_gpu else 'float32'
    print(f'{Path(args.config).stem} at {args.size} px on {name}, torch {torch.__version__}, {precision}')
    records = []
    for batch_size in args.batch_size or ([64, 256] if on_gpu else [16]):
        whole, clocks, peak = bench(cfg, batch_size, args.size, args.steps, args.warmup, args.device)
        seconds = statistics.median(whole)
        parts = {part: statistics.median(c[part] for c in clocks) for part in PARTS}
        total = sum(parts.values())
        outside = sum(parts[part] for part in ('preprocessor', 'objective', 'rest')) / total
        print(f'batch {batch_size}: {seconds:.3f} s a step, {batch_size / seconds:.2f} samples/s'
              + (f', {peak / 2**30:.1f} GiB' if peak else ''))
        print('  ' + ', '.join(f'{part} {value:.3f} s ({100 * value / total:.1f} %)' for part, value in parts.items()))
        print(f'  outside encoders, projectors and optimizer: {100 * outside:.2f} %', flush=True)
        records.append(dict(batch_size=batch_size, seconds=seconds, parts=parts, outside=outside, peak=peak))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    summary = dict(config=args.config, size=args.size, device=name, torch=torch.__version__, records=records)
    args.out.write_text(json.dumps(summary, indent=1))
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
