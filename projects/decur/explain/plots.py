"""Pictures of what the other files of this package compute. Every function takes arrays and returns a matplotlib figure."""
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

#: One colour per block, in all pictures.
BLOCK_COLOURS = dict(common='#0072b2', unique='#d55e00', all='#555555')
#: One per modality, none of them a block's.
_MODALITY_COLOURS, _MARKERS = ('#117733', '#aa4499', '#ddaa33', '#332288', '#88ccee', '#882255'), 'o^sDvP'


def figure(rows: int = 1, columns: int = 1, width: float = 3.6, height: float = 2.8, **kwargs) -> tuple[Figure, np.ndarray]:
    """A figure without global state, and its axes (rows, columns)."""
    fig = Figure(figsize=(width * columns, height * rows), layout='constrained')
    return fig, fig.subplots(rows, columns, squeeze=False, **kwargs)


def plot_alignment(edges: np.ndarray, counts: Mapping[str, np.ndarray], titles: Sequence[str]) -> Figure:
    """Figure 1: a histogram of alignment losses per batch, stacked by block.

    Args:
        edges: (bins + 1,).
        counts: {block: (batches, bins)}.
        titles: one per batch.
    """
    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    fig, axes = figure(rows, columns, sharex=True, sharey=True)
    for index, axis in enumerate(axes.flat):
        if index >= len(titles):
            axis.set_axis_off()
            continue
        bottom = np.zeros(len(edges) - 1)
        for block, values in counts.items():
            axis.bar(edges[:-1], values[index], np.diff(edges), bottom, align='edge', color=BLOCK_COLOURS[block], label=block)
            bottom = bottom + values[index]
        axis.set_title(titles[index], fontsize=9)
        axis.set_xlim(0, 1)
    for axis in axes[-1]:
        axis.set_xlabel('(diag(C) − 1)²')
    for axis in axes[:, 0]:
        axis.set_ylabel('dimensions')
    axes[0, 0].legend(fontsize=8)
    return fig


def plot_tsne(points: np.ndarray, modality: np.ndarray, block: np.ndarray) -> Figure:
    """Figure 2: the map of dimensions, coloured by modality on the left and by block on the right."""
    fig, axes = figure(1, 2, width=4.6, height=4.4)
    size = float(np.clip(4000 / len(points), 2, 30))
    modalities, blocks = list(dict.fromkeys(modality)), list(dict.fromkeys(block))
    palette = [_MODALITY_COLOURS[i % len(_MODALITY_COLOURS)] for i in range(len(modalities))]
    order = np.random.default_rng(0).permutation(len(points))  # so that no modality hides another
    colour = np.array([palette[modalities.index(m)] for m in modality])[order]
    axes[0, 0].scatter(*points[order].T, s=size, c=colour, linewidths=0)
    for i, name in enumerate(modalities):
        axes[0, 0].scatter([], [], c=[palette[i]], label=name)
        chosen = modality == name
        colour = [BLOCK_COLOURS[b] for b in block[chosen]]
        axes[0, 1].scatter(*points[chosen].T, s=size, c=colour, marker=_MARKERS[i % len(_MARKERS)], linewidths=0, alpha=0.8)
        axes[0, 1].scatter([], [], c='#999999', marker=_MARKERS[i % len(_MARKERS)], label=name)
    for name in blocks:
        axes[0, 1].scatter([], [], c=BLOCK_COLOURS[name], label=name)
    for axis, title in zip(axes[0], ('by modality', 'by block')):
        axis.set_title(title, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.legend(fontsize=8)
    return fig


def plot_overlays(pictures: Mapping[str, np.ndarray], maps: Mapping[str, Mapping[str, np.ndarray]], signed: bool = False) -> Figure:
    """Saliency over the pictures: a row per sample; per modality the picture, then one overlay per block.

    Args:
        pictures: {modality: (N, H, W, 3) uint8}.
        maps: {modality: {block: (N, H, W)}}, drawn as they are: from 0 to 1, or from -1 to 1 with ``signed``.
        signed: whether the maps have two signs; red raises the mean of the block then, blue lowers it, and white is 0.
    """
    names = list(pictures)
    blocks = list(next(iter(maps.values())))
    num = len(pictures[names[0]])
    fig, axes = figure(num, len(names) * (1 + len(blocks)), width=1.3, height=1.35)
    scale = dict(cmap='RdBu_r', vmin=-1, vmax=1) if signed else dict(cmap='jet', vmin=0, vmax=1)
    drawn = None
    for row in range(num):
        column = 0
        for name in names:
            picture = pictures[name][row]
            shown = [(name, None), *((f'{name}\n{block}', maps[name][block][row]) for block in blocks)]
            for title, saliency in shown:
                axis = axes[row, column]
                # A two-sided scale is white in the middle: on a grey picture its colours are the map's alone.
                axis.imshow(np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8) if saliency is not None and signed
                            else picture)
                if saliency is not None:
                    drawn = axis.imshow(saliency, alpha=0.55 if signed else 0.45, **scale)
                axis.set_axis_off()
                if row == 0:
                    axis.set_title(title, fontsize=8)
                column += 1
    if drawn is not None:
        bar = fig.colorbar(drawn, ax=axes, location='bottom', shrink=0.4, aspect=40, pad=0.01)
        ends = ['lowers the mean', '0', 'raises the mean'] if signed else ['least', 'most']
        bar.set_ticks(np.linspace(scale['vmin'], scale['vmax'], len(ends)), labels=ends, fontsize=8)
    return fig


def plot_agreement(values: Mapping[str, Mapping[str, np.ndarray]], intervals: Mapping[str, Mapping[str, tuple]],
                   ylabel: str = 'norm(a₁) × norm(a₂), mean per sample', others: Mapping[str, Mapping[str, float]] | None = None) -> Figure:
    """Distributions over samples: per pair of modalities one violin per block, with the mean and its interval.

    Args:
        values: {pair: {block: (N,)}}.
        intervals: {pair: {block: (mean, low, high)}}.
        ylabel: of the vertical axis.
        others: {pair: {block: value}}, what maps of different samples give: drawn as a line across the violin. Defaults to none.
    """
    fig, axes = figure(1, len(values), width=3.4, height=3.2, sharey=True)
    for axis, (pair, by_block) in zip(axes[0], values.items()):
        for i, (block, sample) in enumerate(by_block.items()):
            if np.ptp(sample) > 0:
                for body in axis.violinplot([sample], [i], showextrema=False, widths=0.8)['bodies']:
                    body.set_facecolor(BLOCK_COLOURS[block])
            mean, low, high = intervals[pair][block]
            axis.errorbar([i], [mean], [[np.nan_to_num(mean - low)], [np.nan_to_num(high - mean)]], fmt='o', color='black', capsize=4,
                          label='mean, 95 % interval' if i == 0 else None)
            if others:
                axis.hlines(others[pair][block], i - 0.35, i + 0.35, color='black', linestyles='dashed', linewidth=1.2,
                            label='different samples' if i == 0 else None)
        axis.set_xlim(-0.6, len(by_block) - 0.4)
        axis.set_xticks(range(len(by_block)), list(by_block))
        axis.set_title(pair, fontsize=10)
    axes[0, 0].set_ylabel(ylabel, fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc='outside lower center', ncols=2, fontsize=8)
    return fig


def plot_bands(importance: Mapping[str, Mapping[str, Mapping[str, tuple]]], ylabel: str) -> Figure:
    """Bars of band importance with intervals: a panel per modality, a bar per band and block.

    Args:
        importance: {modality: {block: {band: (mean, low, high)}}}.
        ylabel: of the vertical axis.
    """
    widths = [max(2.6, 0.45 * len(next(iter(blocks.values()))) + 1.2) for blocks in importance.values()]
    fig = Figure(figsize=(sum(widths), 3.0), layout='constrained')
    axes = fig.subplots(1, len(importance), squeeze=False, width_ratios=widths)[0]
    for axis, (name, blocks) in zip(axes, importance.items()):
        for i, (block, bands) in enumerate(blocks.items()):
            mean, low, high = np.array(list(bands.values())).T
            x = np.arange(len(bands)) + (i - (len(blocks) - 1) / 2) * 0.8 / len(blocks)
            axis.bar(x, mean, 0.8 / len(blocks), color=BLOCK_COLOURS[block], label=block,
                     yerr=[np.nan_to_num(mean - low), np.nan_to_num(high - mean)], error_kw=dict(elinewidth=1, capsize=2))
            axis.set_xticks(range(len(bands)), list(bands), rotation=90 if len(bands) > 4 else 0, fontsize=8)
        axis.axhline(0, color='black', linewidth=0.6)
        axis.ticklabel_format(axis='y', style='sci', scilimits=(-2, 3))
        axis.set_title(name, fontsize=10)
    axes[0].set_ylabel(ylabel, fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc='outside upper left', ncols=len(labels), fontsize=8)  # beside the bars, which may fill a panel
    return fig
