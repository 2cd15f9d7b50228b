"""A picture of what a pretraining pipeline makes of its samples: whole images with the boxes of their crops, and the views."""
from collections.abc import Iterable

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from decur.binding import bind
from decur.errors import ConfigError
from decur.transforms.views import MakeViews

from .images import modality_picture, placeholder, sheet

#: Colours of the boxes, view by view.
COLOURS = ((255, 60, 60), (60, 140, 255), (255, 200, 0), (60, 200, 90))


class _Recorded:
    """An augmentation that notes the image and the crop of every view."""

    def __init__(self, augment):
        self.augment, self.seen = augment, []

    def __getattr__(self, name: str):
        return getattr(self.augment, name)

    def __call__(self, image: np.ndarray, view: int = 0, geometry=None, **kwargs) -> np.ndarray:
        self.seen.append((image, geometry))
        return self.augment(image, view, geometry=geometry, **kwargs)


def build_view_dataset(cfg: Config, split: str = 'train', seed: int = 0):
    """The data set of a pretraining config's loader, whose pipeline ends with its views.

    Raises:
        ConfigError: If the config has no such loader, or its pipeline makes no views.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    loader = bind(cfg).get(f'{split}_dataloader')
    if not loader:
        raise ConfigError(f'{cfg.filename or "the config"} has no {split}_dataloader.')
    pipeline = list(loader['dataset'].get('pipeline') or ())
    places = [i for i, step in enumerate(pipeline) if step['type'] in ('MakeViews', MakeViews)]
    if not places:
        raise ConfigError(f'{cfg.filename or "the config"}: the pipeline of its {split}_dataloader makes no views (MakeViews); pictures of '
                          "a segmentation data set are drawn by mmseg's browse_dataset.py (docs/tools.md).")
    # Views that a run makes on its device are made here by the same draws.
    pipeline = [*pipeline[:places[0]], dict(pipeline[places[0]], on='cpu')]
    dataset = DATASETS.build(dict(loader['dataset'], pipeline=pipeline))
    dataset.seed = seed
    return dataset


def draw_views(dataset, indices: Iterable[int], cell: int = 192) -> tuple:
    """The picture of some samples of a data set (:func:`build_view_dataset`).

    Returns:
        tuple[PIL.Image.Image, bool]: The picture, and whether the views are aligned.
    """
    step = dataset.pipeline.transforms[-1]
    rows, captions = [], []
    for index in indices:
        step.augmentations = {name: _Recorded(getattr(augment, 'augment', augment)) for name, augment in step.augmentations.items()}
        results = dataset[index]
        views = results.get('views') or {name: None if image is None else [image] for name, image in results['images'].items()}
        for name, drawn in views.items():
            entry = dataset.modalities[name]
            title = f'{name}: {results["sample_id"]}'
            room = max(cell // 9, len(name) + 6)  # letters that go below a picture
            title = title if len(title) <= room else f'{name}: ..{title[len(name) + 4 - room:]}'
            if drawn is None:
                rows.append([placeholder('absent')] * (1 + step.num_views))
                captions.append([title, *[name] * step.num_views])
                continue
            seen = step.augmentations[name].seen
            rows.append([_boxes(modality_picture(seen[0][0], name, entry), [geometry for _, geometry in seen]),
                         *(modality_picture(np.asarray(view), name, entry) for view in drawn)])
            captions.append([title, *(_words(geometry, image.shape) for image, geometry in seen)])
    side = max(picture.shape[0] / picture.shape[1] for row in rows for picture in row)
    rows = [[_square(picture, side) for picture in row] for row in rows]
    titles = ['image', *(f'view {i + 1}' for i in range(step.num_views))]
    legend = {f'crop of view {i + 1}': COLOURS[i % len(COLOURS)] for i in range(step.num_views)}
    return sheet(rows, titles, legend, cell, captions), step.aligned


def _words(geometry, shape) -> str:
    flips = ' '.join(word for word, on in (('h-flip', geometry.hflip), ('v-flip', geometry.vflip)) if on)
    return f'{round(geometry.h * shape[0])}x{round(geometry.w * shape[1])} px {flips}'


def _square(picture: np.ndarray, side: float) -> np.ndarray:
    """The picture on white, of the shape that all in the sheet have."""
    height, width = picture.shape[:2]
    wanted = max(height, round(width * side))
    out = np.full((wanted, width, 3), 255, np.uint8)
    out[:height] = picture
    return out


def _boxes(picture: np.ndarray, geometries: list) -> np.ndarray:
    """The picture, grown to at least 384 pixels, with a box per crop, whose corner at the view's upper left is marked."""
    grow = max(1, -(-384 // picture.shape[1]))
    picture = np.ascontiguousarray(picture.repeat(grow, axis=0).repeat(grow, axis=1))
    height, width = picture.shape[:2]
    thick = max(2, width // 130)
    for i, geometry in enumerate(geometries):
        colour = COLOURS[i % len(COLOURS)]
        top, left = round(geometry.y * height), round(geometry.x * width)
        bottom, right = round((geometry.y + geometry.h) * height) - 1, round((geometry.x + geometry.w) * width) - 1
        cv2.rectangle(picture, (left, top), (right, bottom), colour, thick)
        corner = right if geometry.hflip else left, bottom if geometry.vflip else top
        cv2.circle(picture, corner, 4 * thick, colour, -1)
    return picture

