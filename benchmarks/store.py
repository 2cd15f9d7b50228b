"""Reading a two-view sample (two seasons of Sentinel-1 and Sentinel-2) from the compact store, against the released GeoTIFFs.

Also the bytes that such a sample reads, against a store that keeps all four seasons upsampled in one record. The forms take turns in one
process, one thread, hot cache, timed by the process's own CPU time; both end in the same arrays of 264 x 264 pixels.

    python benchmarks/store.py SSL4EO_FOLDER [--samples 20] [--rounds 5]
"""
import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from decur.datasets import SSL4EODataset
from decur.prepare.ssl4eo import prepare
from decur.readers.bands import BandReader
from decur.readers.store import read_record, record_keys
from decur.sensors import SSL4EO_BANDS

ENTRIES = {
    name: dict(channels=len(SSL4EO_BANDS[product]), files=dict(product=product),
               reader=dict(type='BandReader', bands=SSL4EO_BANDS[product], size=264))
    for name, product in (('sar', 's1'), ('optical', 's2c'))
}


def main() -> float:
    """Print both ratios; return that of the time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='folder of s1 and s2c')
    parser.add_argument('--samples', type=int, default=20, help='samples per round')
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / 'store'
        prepare(args.src, store)
        readers = {name: BandReader(SSL4EO_BANDS[entry['files']['product']], 264) for name, entry in ENTRIES.items()}
        forms = {name: [s['seasons'] for s in SSL4EODataset(ENTRIES, str(root), pipeline=[])]
                 for name, root in (('GeoTIFF', args.src), ('store', store))}
        seconds: dict = {name: [] for name in forms}
        for _ in range(args.rounds):
            for name, samples in forms.items():
                start = time.process_time()
                for i in range(args.samples):
                    seasons = samples[i % len(samples)]
                    for modality, scenes in seasons.items():
                        for view in range(2):
                            readers[modality](scenes[view % len(scenes)])
                seconds[name].append((time.process_time() - start) / args.samples)
        for name, values in seconds.items():
            print(f'{name:8s} {1e3 * np.median(values):8.2f} ms per sample')
        keys = record_keys(store)
        sizes = {key: sum(band.nbytes for band in read_record(str(store), key).values()) for key in keys}
        size = {product: np.mean([value for key, value in sizes.items() if f'/{product}/' in key]) for product in ('s1', 's2c')}
        upsampled = 4 * 264**2 * (13 * 2 + 2 * 4)
        read = 2 * sum(size.values())
        print(f'bytes per sample: store {read / 1e6:.2f} MB, four upsampled seasons of the same types in one record '
              f'{upsampled / 1e6:.2f} MB ({read / upsampled:.2f} of it)')
        ratio = float(np.median(seconds['GeoTIFF']) / np.median(seconds['store']))
        print(f'store: {ratio:.2f} times the speed of GeoTIFF')
        return ratio


if __name__ == '__main__':
    main()
