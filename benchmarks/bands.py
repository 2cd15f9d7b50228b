"""How far features move when an encoder is given fewer bands than it was trained on, by the rule for the absent ones.

    python benchmarks/bands.py CHECKPOINT --data data/sites_s1_s2_dem [--modality optical]

On real chips: windows of 64 x 64 pixels from the right 30 % of each site, which the pretraining of configs/sites/ has not seen. 'estimate'
regresses the absent bands on the left 70 % of the other sites. Features are compared with those of all 13 bands: their cosine similarity,
and the distance in units of the spread of the windows (1: as far as a window is from the mean of all windows). The last column is the
share of the variance of the absent bands that the regression explains, the mean over bands and sites.
"""
import argparse
from pathlib import Path

import numpy as np
import rasterio
import torch
from mmengine.logging import MMLogger
from torch.nn import functional as F

import decur
from decur.sensors import S2C_BANDS

BANDS = {
    '12 (without B10)': tuple(band for band in S2C_BANDS if band != 'B10'),
    '10 (10 m and 20 m)': ('B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12'),
    '4 (B4, B3, B2, B8)': ('B4', 'B3', 'B2', 'B8'),
    '3 (B4, B3, B2)': ('B4', 'B3', 'B2'),
}


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint')
    parser.add_argument('--data', type=Path, default=Path('data/sites_s1_s2_dem'))
    parser.add_argument('--modality', default='optical')
    return parser.parse_args()


def chips(folder: Path) -> list:
    """The sites as ``(H, W, 13)``, without the offset of newer products (found by band 10)."""
    out = []
    for path in sorted((folder / 'S2L1C').glob('*.tif')):
        with rasterio.open(path) as file:
            image = file.read().transpose(1, 2, 0).astype(np.float32)
        out.append(np.maximum(image - 1000, 0) if np.percentile(image[..., S2C_BANDS.index('B10')], 5) > 900 else image)
    return out


def windows(image: np.ndarray, size: int = 64) -> list:
    """Windows of the right 30 %."""
    left = image.shape[1] - size
    return [image[top:top + size, left:] for top in range(0, image.shape[0] - size + 1, size // 2)]


@torch.no_grad()
def features(encoder, name: str, images: list, bands=S2C_BANDS) -> torch.Tensor:
    """``(N, F)`` of images with all bands, of which the encoder is given some."""
    places = [S2C_BANDS.index(band) for band in bands]
    return encoder.extract_feat({name: torch.stack([encoder.transforms[name](image[..., places]) for image in images])})[name]


def main():
    """Measure and print."""
    args = parse_args()
    MMLogger.get_instance('mmengine', log_level='ERROR')
    sites = chips(args.data)
    name = args.modality
    whole = decur.load(args.checkpoint, modalities=[name])
    expected = [features(whole, name, windows(site)) for site in sites]
    spread = torch.cat(expected)
    spread = (spread - spread.mean(0)).norm(dim=1).mean()
    print(f'{sum(map(len, expected))} windows of {len(sites)} sites, {whole.feature_dims[name]} features')
    print('| bands | rule | cosine similarity | distance / spread | explained |\n|---|---|---|---|---|')
    for title, bands in BANDS.items():
        for rule in ('drop', 'mean', 'estimate'):
            found, explained = [], []
            for i, site in enumerate(sites):
                reference = [other[:, :int(.7 * other.shape[1])] for j, other in enumerate(sites) if j != i]
                few = decur.load(args.checkpoint, modalities=[name], bands=bands, missing=rule,
                                 reference=reference if rule == 'estimate' else None)
                found.append(features(few, name, windows(site), bands))
                explained += few.metadata[name].get('estimated', {}).values()
            a, b = torch.cat(found), torch.cat(expected)
            print(f'| {title} | `{rule}` | {F.cosine_similarity(a, b).mean():.3f} | {((a - b).norm(dim=1).mean() / spread):.2f} | '
                  f'{np.mean(explained) if explained else float("nan"):.2f} |'.replace('nan', ''), flush=True)


if __name__ == '__main__':
    main()
