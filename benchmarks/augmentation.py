"""Samples per second and core of the SSL4EO-S12 augmentation, against the form in which published pipelines write it.

One sample is two views of 2-channel SAR and 13-channel optical, 264 -> 224 pixels, uint8, ready as contiguous ``(C, H, W)``. The published
form takes channel-last images, as its stores hold them; ours takes planes, as rasters and the compact store hold them (and once more
channel-last images, for comparison). The forms take turns in the same process, one thread each, timed by the process's own CPU time.

    python benchmarks/augmentation.py [--samples 200] [--rounds 5]
"""
import argparse
import time

import cv2
import numpy as np

from decur.transforms.augmentation import ViewAugmentation


class FloatArithmetic:
    """The baseline: OpenCV for crop and blur on channel-last images, NumPy's float64 arithmetic for the point operations.

    Args:
        augmentation (ViewAugmentation): Its settings.
        saturate (bool): The published code wraps around, which saves it clipping: that is what is timed. With saturation the two forms
            have the same distribution, which the tests compare. Defaults to False.
    """

    def __init__(self, augmentation: ViewAugmentation, saturate: bool = False):
        self.a, self.saturate = augmentation, saturate

    def __call__(self, image: np.ndarray, view: int = 0) -> np.ndarray:
        """One view ``(h, w, C)`` of a uint8 image ``(H, W, C)``."""
        a, (height, width, channels) = self.a, image.shape
        box = a.sample_geometry(width / height)
        h, w = round(box.h * height), round(box.w * width)
        y, x = min(round(box.y * height), height - h), min(round(box.x * width), width - w)
        out = cv2.resize(image[y:y + h, x:x + w], a.size[::-1], interpolation=cv2.INTER_LINEAR)

        def chance(name):
            return np.random.random() < a.prob(name, view)

        def to_uint8(values):
            return (np.clip(values, 0, 255) if self.saturate else values).astype(np.uint8)

        if chance('jitter'):
            out = to_uint8(out * np.random.uniform(1 - a.brightness, 1 + a.brightness))
            mean = np.mean(out, axis=(0, 1))
            out = to_uint8((out - mean) * np.random.uniform(1 - a.contrast, 1 + a.contrast) + mean)
        if chance('grayscale'):
            gray = np.tile(np.mean(out, axis=-1), (channels, 1, 1))
            out = np.transpose(gray, (1, 2, 0)).astype(np.uint8)
        if chance('blur'):
            out = cv2.GaussianBlur(out, (0, 0), np.random.uniform(*a.blur_sigma))
        if chance('solarize'):
            low, high = (share * 255 for share in a.solarize_range)
            mirrored, inside = out.copy(), (out >= low) & (out <= high)
            mirrored[inside] = (np.ones(out.shape) * 255)[inside] - out[inside]
            out = mirrored.astype(np.uint8)
        if box.hflip:
            out = cv2.flip(out, 1)
        if box.vflip:
            out = cv2.flip(out, 0)
        return out


def published(channels: int) -> ViewAugmentation:
    """The settings of the published SSL4EO-S12 runs for SAR (2 channels) or optical (13)."""
    if channels == 2:
        return ViewAugmentation(224, jitter_prob=0, grayscale_prob=.2, blur_prob=.5)
    return ViewAugmentation(224, jitter_prob=.8, grayscale_prob=.2, blur_prob=.5, solarize_prob=.2, solarize_range=(0, 0.001))


def measure(forms: dict, samples: int, rounds: int) -> dict:
    """CPU seconds per sample by form: the median over the rounds, in which the forms take turns."""
    rng = np.random.default_rng(0)
    # Smooth images with noise: neither flat nor white.
    images = [[cv2.GaussianBlur(rng.integers(0, 256, (264, 264, c), np.uint8), (0, 0), 3) for c in (2, 13)] for _ in range(8)]
    planar = [[np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0) for image in pair] for pair in images]
    seconds = {name: [] for name in forms}
    for turn in range(rounds):
        for name, form in forms.items():
            np.random.seed(turn)
            start = time.process_time()
            source = planar if name == 'ours' else images
            for i in range(samples):
                for image, augment in zip(source[i % len(images)], form):
                    for view in range(2):
                        np.ascontiguousarray(augment(image, view).transpose(2, 0, 1))
            seconds[name].append((time.process_time() - start) / samples)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def main() -> float:
    """Print samples per second and core of both, and return their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--samples', type=int, default=200, help='samples per round')
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    ours = [published(2), published(13)]
    forms = {'published': [FloatArithmetic(a) for a in ours], 'ours, channel-last': ours, 'ours': ours}
    seconds = measure(forms, args.samples, args.rounds)
    for name, value in seconds.items():
        print(f'{name:20s} {1 / value:8.1f} samples per second and core')
    ratio = seconds['published'] / seconds['ours']
    print(f'augmentation: {ratio:.2f} times the published form')
    return ratio


if __name__ == '__main__':
    main()
