"""Find which chips of the water data set show common ground, and write lists that keep places apart into its folder.

The chips have no coordinates, but their elevation (band 10, Copernicus DEM) tells the place. Two chips overlap if the gradients of their
elevations, shifted against each other by whole pixels to where they fit best, correlate over what they have in common; this correlation is
above 0.8 for 210 pairs of elevation rasters and below 0.6 for nearly all others. Chips that only touch have one border of equal heights. A
place is what overlaps and borders hold together.

116 of the 306 chips show exactly the ground of another chip on another date, so a random split would test on places that were trained on.
"""
import argparse
from collections import defaultdict
from pathlib import Path

from decur_command.arguments import answer_help


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='folder with images/ and labels/, as in the clone (its folder data)')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

import numpy as np
from scipy import fft
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from decur.errors import DataError, exit_on_bad_input
from decur.prepare.folder_release import labelled_subsets
from decur.readers import RasterioReader
from decur.writing import write_bytes

#: Chips as released.
CHIPS = 306
#: Chips overlap if the gradients correlate above this over at least that share of a chip.
CORRELATION, LEAST = .7, 1 / 16
#: Facing borders are equal if they correlate above this and differ on average by less than a metre and a share of their deviation.
BORDER, METRE, SHARE, RELIEF = .9, 1., .3, .5
#: Sizes and seeds of the labelled subsets of the training chips.
FEW, SEEDS = (16, 32), range(5)


def gradients(heights: np.ndarray) -> np.ndarray:
    """Elevation (N, H, W) to its gradient as complex numbers, steep slopes compressed, (N, H, W) complex64."""
    down, right = np.gradient(heights.astype(np.float32), axis=(1, 2))
    return (np.arctan(right) + 1j * np.arctan(down)).astype(np.complex64)


def common(size: int, shift: int) -> tuple:
    """The parts of two lines of pixels that lie on each other when the second is shifted."""
    return slice(max(0, shift), size + min(0, shift)), slice(max(0, -shift), size + min(0, -shift))


def overlaps(heights: np.ndarray) -> list:
    """Pairs of chips (N, H, W) that show common ground."""
    slopes = gradients(heights)
    _, height, width = slopes.shape
    spectra = fft.fft2(slopes, (2 * height, 2 * width))
    pairs = []
    for first in range(len(slopes) - 1):
        fits = np.abs(fft.ifft2(spectra[first] * spectra[first + 1:].conj()).real)
        for second, fit in enumerate(fits, first + 1):
            row, column = np.unravel_index(fit.argmax(), fit.shape)
            rows, columns = common(height, row - 2 * height * (row >= height)), common(width, column - 2 * width * (column >= width))
            a, b = slopes[first][rows[0], columns[0]], slopes[second][rows[1], columns[1]]
            energy = np.sqrt((np.abs(a)**2).sum() * (np.abs(b)**2).sum())
            if a.size >= LEAST * height * width and energy > 0 and (a * b.conj()).real.sum() > CORRELATION * energy:
                pairs.append((first, second))
    return pairs


def neighbours(heights: np.ndarray) -> list:
    """Pairs of chips (N, H, W) with equal facing borders."""
    heights, pairs = heights.astype(np.float64), []
    for first, second in ((heights[:, :, -1], heights[:, :, 0]), (heights[:, -1], heights[:, 0])):
        difference = np.abs(first[:, None] - second[None]).mean(axis=-1)
        spread = np.minimum(first.std(axis=1)[:, None], second.std(axis=1)[None])
        with np.errstate(invalid='ignore', divide='ignore'):  # of flat borders, which are not compared
            correlation = np.corrcoef(first, second)[:len(first), len(first):]
        equal = (spread > RELIEF) & (correlation > BORDER) & (difference < METRE + SHARE * spread)
        pairs += [(int(a), int(b)) for a, b in zip(*np.nonzero(equal)) if a != b]
    return pairs


def find_places(heights: np.ndarray) -> list:
    """Chips (N, H, W) to places: lists of indices, the largest first, then by their first chip."""
    holders = defaultdict(list)
    for chip, rows in enumerate(heights):
        holders[rows.tobytes()].append(chip)
    grounds = list(holders.values())
    different = heights[[chips[0] for chips in grounds]]
    pairs = np.array(overlaps(different) + neighbours(different)).reshape(-1, 2)
    _, place = connected_components(coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(len(grounds), ) * 2), directed=False)
    places = [sorted(chip for ground in np.flatnonzero(place == number) for chip in grounds[ground]) for number in np.unique(place)]
    return sorted(places, key=lambda chips: (-len(chips), chips[0]))


def splits(places: list) -> dict:
    """Places by size, in turn for training and for the test; and labelled subsets of the training chips, drawn by seed."""
    train, test = (sorted(chip for place in places[side::2] for chip in place) for side in (0, 1))
    return dict(train=train, test=test, **labelled_subsets(train, FEW, SEEDS))


@exit_on_bad_input()
def main():
    """Read the elevation of all chips and write the lists."""
    args = parse_args()
    files = {int(path.stem): path for path in (args.folder / 'images').glob('*.tif') if path.stem.isdigit()}
    if sorted(files) != list(range(CHIPS)):
        raise DataError(f'{args.folder / "images"} has {len(files)} chips, 0.tif to {CHIPS - 1}.tif are released. Clone the repository '
                        'again, with all its files.')
    reader = RasterioReader(bands=[10])
    places = find_places(np.stack([reader(str(files[number]))[..., 0] for number in sorted(files)]))
    lists = splits(places)
    for name, chips in lists.items():
        write_bytes(args.folder / f'{name}.txt', ''.join(f'{chip}\n' for chip in chips).encode())
    sizes = [len(place) for place in places]
    print(f'{len(files)} chips of {len(places)} places (the largest have {sizes[:5]} chips): {len(lists["train"])} for training, '
          f'{len(lists["test"])} for the test')


if __name__ == '__main__':
    main()
