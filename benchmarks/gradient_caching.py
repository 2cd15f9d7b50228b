"""What a step with gradient caching costs beside plain steps of the micro-batch's size: memory and time for the same samples.

`plain` takes batch / micro steps of micro samples each, `cached` one step of the whole batch with model.micro_batch. Each runs in a process
of its own, whose largest memory is read when it ends (on a GPU the allocator's); what the model, its gradients and the optimiser take is in
both. The images are random tensors. On a CPU the time is the processor's.

    python benchmarks/gradient_caching.py [CONFIG] [--batch-size 1024] [--micro-batch 64] [--size 224] [--device cuda] [--out FILE]
"""
import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

import decur
from decur.engine.allocator import keep_freed_memory

DEFAULT = Path(__file__).resolve().parents[1] / 'configs' / 'decur' / 'ssl4eo_s1-s2_r50_decur.py'


def measure(args) -> dict:
    """Seconds for the samples of a batch, and the largest memory of this process, bytes."""
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    cfg = decur.bind(Config.fromfile(args.config))
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if args.width:
        cfg.model.neck.update(hid_channels=args.width, out_channels=args.width)
        cfg.model.head.common_dim = args.width * 3 // 4
    for entry in cfg.model.backbone.modalities.values():
        entry.encoder.init_cfg = None
    cached = args.only == 'cached'
    model = MODELS.build(dict(cfg.model, micro_batch=args.micro_batch if cached else None)).to(args.device).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    if args.device == 'cpu':
        keep_freed_memory()
    count = args.batch_size if cached else args.micro_batch
    # As the loader gives them: 8 bit.
    inputs = {name: [torch.randint(0, 256, (count, entry['channels'], args.size, args.size), dtype=torch.uint8) for _ in range(2)]
              for name, entry in model.modalities.items()}
    steps = 1 if cached else args.batch_size // args.micro_batch

    # On a CPU the processor's time, which others that use it do not change.
    clock = time.process_time if args.device == 'cpu' else time.perf_counter

    def run(number: int) -> float:
        start = clock()
        for _ in range(number):
            with torch.autocast(args.device, torch.bfloat16, enabled=args.device != 'cpu'):
                data = model.data_preprocessor(dict(inputs=inputs, data_samples=None), True)
                loss = model.parse_losses(model(**data, mode='loss'))[0]
            optim_wrapper.update_params(loss)
        if args.device != 'cpu':
            torch.cuda.synchronize()
        return clock() - start

    run(1)
    seconds = min(run(steps) for _ in range(args.rounds))
    peak = torch.cuda.max_memory_allocated() if args.device != 'cpu' else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return dict(seconds=seconds, bytes=peak)


def main() -> None:
    """Measure both, each in its process, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default=str(DEFAULT))
    parser.add_argument('--batch-size', type=int, default=1024)
    parser.add_argument('--micro-batch', type=int, default=64)
    parser.add_argument('--size', type=int, default=224, help='side of the images, pixels')
    parser.add_argument('--width', type=int, help="of the projectors; default: the config's")
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--only', choices=['plain', 'cached'], help='measure one of the two, and print its figures as JSON')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args)))
        return
    record = dict(batch_size=args.batch_size, micro_batch=args.micro_batch, size=args.size, device=args.device)
    for kind in ('plain', 'cached'):
        done = subprocess.run([sys.executable, *sys.argv, '--only', kind], capture_output=True, text=True, timeout=3600)
        if done.returncode:
            sys.exit(done.stderr)
        record[kind] = json.loads(done.stdout.splitlines()[-1])
        print(f'{kind:>6}: {record[kind]["seconds"]:.2f} s for {args.batch_size} samples, {record[kind]["bytes"] / 2**20:.0f} MiB')
    record['time'] = record['cached']['seconds'] / record['plain']['seconds']
    record['memory'] = record['cached']['bytes'] / record['plain']['bytes']
    print(f'cached / plain: {record["time"]:.2f} of the time, {record["memory"]:.2f} of the memory')
    if args.out:
        Path(args.out).write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
