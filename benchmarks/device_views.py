"""Views per second: by ViewAugmentation on one core (a data worker), by the preprocessor on a CPU, by tensor operations on the device.

The augmentation is that of Sentinel-2 in configs/decur/ssl4eo_s1-s2_r50_decur.py, on random 8-bit images.

    python benchmarks/device_views.py [--batch-size 64] [--channels 13] [--rounds 3] [--out FILE]
"""
import argparse
import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from decur.models.device_views import DeviceViews
from decur.transforms import ViewAugmentation


def measure(function, rounds: int, views: int, device: str, clock) -> float:
    """Views per second, the median of so many rounds after one to warm up."""
    function()
    seconds = []
    for _ in range(rounds):
        start = clock()
        function()
        if device != 'cpu':
            torch.cuda.synchronize()
        seconds.append(clock() - start)
    return views / statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--channels', type=int, default=13)
    parser.add_argument('--size', type=int, default=264, help='side of the images, pixels')
    parser.add_argument('--view-size', type=int, default=224)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    augment = ViewAugmentation(size=args.view_size, solarize_prob=.2)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (args.batch_size, args.channels, args.size, args.size), dtype=np.uint8)
    np.random.seed(0)
    draws = [augment.draw((args.size, args.size, args.channels)) for _ in images]
    parameters = DeviceViews.parameters(draws, args.channels, (args.size, args.size))
    x = torch.from_numpy(images)
    cpu = time.process_time  # of one core, whatever else runs
    record = {
        'in a worker': measure(lambda: [augment.apply(i.transpose(1, 2, 0), d) for i, d in zip(images, draws)], args.rounds, len(x), 'cpu',
                               cpu),
        'preprocessor on a CPU': measure(lambda: DeviceViews(augment)(x, parameters), args.rounds, len(x), 'cpu', cpu),
        'tensor operations on a CPU': measure(lambda: DeviceViews(augment, True)(x, parameters), args.rounds, len(x), 'cpu', cpu)}
    if torch.cuda.is_available():
        there = x.cuda()
        record[f'tensor operations on {torch.cuda.get_device_name()}'] = measure(
            lambda: DeviceViews(augment, True)(there, parameters), args.rounds, len(x), 'cuda', time.perf_counter)
    for name, speed in record.items():
        print(f'{name}: {speed:.0f} views/s, {speed / record["in a worker"]:.2f} of a worker')
    if args.out:
        Path(args.out).write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
