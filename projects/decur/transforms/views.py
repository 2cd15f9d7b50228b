"""Two augmented views per modality (supplement B.1)."""
import inspect
from collections.abc import Mapping

from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError, DataError

from .loading import BoundTransform


@TRANSFORMS.register_module()
class MakeViews(BoundTransform):
    """Draw augmented views of every modality, each with the ``augmentation`` of its entry.

    Needs ``images`` (and ``masks``); adds ``views`` (``{name: [array (h, w, C), ...]}``; None for an absent modality) and ``crops``
    (``{name: [what the augmentation's sample_geometry gave, ...]}``). Missing pixels keep their value in every view, by default the
    modality's mean.

    Args:
        aligned (bool): One crop box and flip per view for all modalities, so that view v of every modality shows the same ground. As
            published, every modality draws its own. Defaults to False.
        num_views (int): Views per modality. Defaults to 2. A single view takes the place of the image (transfer).
        on (str): ``'cpu'``: the views are made here. ``'device'``: they are only drawn; ``views`` are whole images, ``draws`` (``{name:
            [Draws, ...]}``) says what is done to them, and the model's preprocessor does it on its device
            (:mod:`decur.models.device_views`). The draws are the same. Images of a modality must have one size. Defaults to ``'cpu'``.

    Raises:
        ConfigError: If ``on`` is unknown, or a single view is to be made on the device.
    """

    def __init__(self, aligned: bool = False, num_views: int = 2, on: str = 'cpu'):
        if on not in ('cpu', 'device') or (on == 'device' and num_views == 1):
            raise ConfigError(f"on must be 'cpu' or, for several views, 'device'; got {on!r} for {num_views}.")
        self.aligned, self.num_views, self.on = aligned, num_views, on

    def bind(self, modalities: Mapping, dataset) -> None:
        """Build the augmentation of every entry."""
        super().bind(modalities, dataset)
        missing = [name for name, entry in modalities.items() if not entry.get('augmentation')]
        if missing:
            raise ConfigError(f'modality {missing} has no augmentation: add augmentation=dict(type="ViewAugmentation", size=...) to '
                              'its entry.')
        self.augmentations = {
            name: TRANSFORMS.build(dict(entry['augmentation'], type=entry['augmentation'].get('type', 'ViewAugmentation')))
            for name, entry in modalities.items()
        }
        unable = [name for name, augment in self.augmentations.items() if not hasattr(augment, 'draw')]
        if self.on == 'device' and unable:
            raise ConfigError(f"the augmentation of {unable} cannot be made on the device, only ViewAugmentation. Set MakeViews(on='cpu').")
        self.takes_missing = {name: 'missing' in inspect.signature(augment.__call__).parameters
                              for name, augment in self.augmentations.items()}

    def transform(self, results: dict) -> dict:
        """Draw the views."""
        masks = results.pop('masks', {})
        views = {name: None if image is None else [] for name, image in results['images'].items()}
        draws, crops = {name: [] for name in views}, {name: [] for name in views}
        for view in range(self.num_views):
            shared = None
            for name, image in results['images'].items():
                if image is None:
                    continue
                missing = masks.get(name)
                if isinstance(image, list):  # an image for each view
                    image, missing = image[view], missing and missing[view]
                augment, geometry = self.augmentations[name], shared
                if geometry is None:
                    geometry = augment.sample_geometry(image.shape[1] / image.shape[0], view)
                if self.aligned:
                    # The first modality's flips and crop scale hold for all: aligned modalities are usually given the same ones.
                    shared = geometry
                crops[name].append(geometry)
                if self.on == 'device':
                    if missing is not None:
                        raise DataError(f'sample {results.get("sample_id")!r}: modality {name!r} has missing pixels, which views on the '
                                        "device do not leave out. Give them a value (reader=dict(type=..., nodata=NUMBER)), or set "
                                        "MakeViews(on='cpu').")
                    draws[name].append(augment.draw(image.shape, view, geometry))
                    views[name].append(image)
                    continue
                known = dict(missing=missing) if missing is not None and self.takes_missing[name] else {}
                views[name].append(augment(image, view, geometry=geometry, **known))
        if self.on == 'device':
            results['draws'] = draws
        results['crops'] = crops
        if self.num_views == 1:
            results['images'] = {name: None if drawn is None else drawn[0] for name, drawn in views.items()}
        else:
            results['views'] = views
        return results
