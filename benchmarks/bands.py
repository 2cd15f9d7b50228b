"""How far features move when an encoder is given fewer bands than it was trained on, by the rule for the absent ones.

    python benchmarks/bands.py CHECKPOINT [CHECKPOINT ...] --data data/sites_s1_s2_dem [--modality optical] [--plot bands.svg]

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
from decur.evaluation.tables import markdown
from decur.sensors import S2C_BANDS

RULES = ('drop', 'mean', 'estimate')
BANDS = {
    '12 (without B10)': tuple(band for band in S2C_BANDS if band != 'B10'),
    '10 (10 m and 20 m)': ('B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12'),
    '4 (B4, B3, B2, B8)': ('B4', 'B3', 'B2', 'B8'),
    '3 (B4, B3, B2)': ('B4', 'B3', 'B2'),
}


def parse_args():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', nargs='+')
    parser.add_argument('--titles', nargs='+', help='of the checkpoints, in the picture')
    parser.add_argument('--plot', type=Path, help='draw the distances')
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


def measure(checkpoint: str, sites: list, name: str) -> dict:
    """``(cosine similarity, distance / spread, explained share or None)`` by (bands, rule)."""
    whole = decur.load(checkpoint, modalities=[name])
    expected = [features(whole, name, windows(site)) for site in sites]
    print(f'{checkpoint}: {sum(map(len, expected))} windows of {len(sites)} sites, {whole.feature_dims[name]} features\n')
    expected = torch.cat(expected)
    spread = (expected - expected.mean(0)).norm(dim=1).mean()
    out = {}
    for title, bands in BANDS.items():
        for rule in RULES:
            found, explained = [], []
            for i, site in enumerate(sites):
                reference = [other[:, :int(.7 * other.shape[1])] for j, other in enumerate(sites) if j != i]
                few = decur.load(checkpoint, modalities=[name], bands=bands, missing=rule,
                                 reference=reference if rule == 'estimate' else None)
                found.append(features(few, name, windows(site), bands))
                explained += few.metadata[name].get('estimated', {}).values()
            found = torch.cat(found)
            out[title, rule] = (float(F.cosine_similarity(found, expected).mean()), float((found - expected).norm(dim=1).mean() / spread),
                                float(np.mean(explained)) if explained else None)
    return out


def plot(results: dict, path: Path) -> None:
    """Distances as bars, a panel for each checkpoint."""
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(results), figsize=(4.5 * len(results), 3.2), sharey=True, squeeze=False, layout='constrained')
    for axis, (title, found) in zip(axes[0], results.items()):
        for i, (rule, colour) in enumerate(zip(RULES, ('#bbbbbb', '#4477aa', '#ee8866'))):
            axis.bar(np.arange(len(BANDS)) + .27 * (i - 1), [found[bands, rule][1] for bands in BANDS], .25, color=colour, label=rule)
        axis.set_xticks(np.arange(len(BANDS)), [bands.replace(' (', '\n(') for bands in BANDS], fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.axhline(1, color='black', linewidth=.7, linestyle=':')
    axes[0, 0].set_ylabel('distance / spread')
    axes[0, 0].legend(title='missing', fontsize=8, title_fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata=dict(Date=None) if path.suffix == '.svg' else None)
    pyplot.close(figure)


def main():
    """Measure, print and draw."""
    args = parse_args()
    if args.titles and len(args.titles) != len(args.checkpoint):
        raise SystemExit(f'error: {len(args.titles)} titles for {len(args.checkpoint)} checkpoints.')
    MMLogger.get_instance('mmengine', log_level='ERROR')
    sites, results = chips(args.data), {}
    for title, checkpoint in zip(args.titles or args.checkpoint, args.checkpoint):
        results[title] = found = measure(checkpoint, sites, args.modality)
        print(markdown(('bands', 'rule', 'cosine similarity', 'distance / spread', 'explained'), [
            (bands, f'`{rule}`', f'{cosine:.3f}', f'{distance:.2f}', '' if share is None else f'{share:.2f}')
            for (bands, rule), (cosine, distance, share) in found.items()]) + '\n', flush=True)
    if args.plot:
        plot(results, args.plot)


if __name__ == '__main__':
    main()
