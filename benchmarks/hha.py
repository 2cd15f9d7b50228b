"""HHA of a 480x640 depth map on one core, against the same computation with window sums by plain two-dimensional convolution.

    python benchmarks/hha.py [--depth FILE] [--unit 10000] [--rounds 3]

The plain form sums the nine moments of every window with ``scipy.signal.convolve2d``, as published Python code does (which also takes
the arc cosine pixel by pixel and so is slower still). Both run on one thread in one process and take turns; the fastest round of each
counts, in processor time. Without ``--depth``, the depth map is a generated room.
"""
import argparse
import time
from unittest import mock

import cv2
import numpy as np
from scipy.signal import convolve2d

from decur.datasets import DepthReader, depth_to_hha
from decur.readers.depth import NYU_INTRINSICS
from decur_worlds.rooms import make_scene, render


def plain_filter(image, depth, kernel, **kwargs):
    """``cv2.filter2D`` with a kernel of ones by convolution."""
    return convolve2d(image, kernel, mode='same')


def plain_box(image, depth, size, **kwargs):
    """``cv2.boxFilter`` without normalisation by convolution, channel by channel."""
    return np.stack([convolve2d(image[..., i], np.ones(size), mode='same') for i in range(image.shape[2])], -1)


def timed(function, *args):
    """Result and seconds of processor time."""
    start = time.process_time()
    result = function(*args)
    return result, time.process_time() - start


def main():
    """Time both forms and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--depth', help='16-bit depth file of the NYU-Depth v2 camera')
    parser.add_argument('--unit', type=float, default=1000., help='its values per metre')
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.depth:
        depth, camera = DepthReader(unit=args.unit).metres(args.depth), NYU_INTRINSICS
    else:
        scene = make_scene(0, 1, (480, 640))
        depth, camera = render(scene)['depth'].astype(np.float64), scene.camera.intrinsics
    ours, plain = [], []
    for _ in range(args.rounds):
        found, seconds = timed(depth_to_hha, depth, camera)
        ours.append(seconds)
        with mock.patch('decur.hha.cv2.filter2D', plain_filter), mock.patch('decur.hha.cv2.boxFilter', plain_box):
            expected, seconds = timed(depth_to_hha, depth, camera)
        plain.append(seconds)
    same = [(found[..., i] == expected[..., i]).mean() for i in range(3)]
    print(f'HHA {depth.shape[0]}x{depth.shape[1]}: {min(ours):.3f} s, plain convolution {min(plain):.3f} s, '
          f'ratio {min(plain) / min(ours):.1f}; equal pixels ' + ' '.join(f'{100 * s:.2f} %' for s in same))


if __name__ == '__main__':
    main()
