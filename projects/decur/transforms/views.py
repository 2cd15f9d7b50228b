"""Two augmented views per modality (supplement B.1)."""
from collections.abc import Mapping

from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError

from .loading import BoundTransform


@TRANSFORMS.register_module()
class MakeViews(BoundTransform):
    """Draw augmented views of every modality, each with the ``augmentation`` of its entry.

    Needs ``images``; adds ``views`` (``{name: [array (h, w, C), ...]}``; None for an absent modality).

    Args:
        aligned (bool): One crop box and flip per view for all modalities, so that view v of every modality shows the same ground. As
            published, every modality draws its own. Defaults to False.
        num_views (int): Views per modality. Defaults to 2. A single view takes the place of the image (transfer).
    """

    def __init__(self, aligned: bool = False, num_views: int = 2):
        self.aligned, self.num_views = aligned, num_views

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

    def transform(self, results: dict) -> dict:
        """Draw the views."""
        views = {name: None if image is None else [] for name, image in results['images'].items()}
        for view in range(self.num_views):
            shared = None
            for name, image in results['images'].items():
                if image is None:
                    continue
                if isinstance(image, list):  # an image for each view
                    image = image[view]
                augment, geometry = self.augmentations[name], shared
                if geometry is None:
                    geometry = augment.sample_geometry(image.shape[1] / image.shape[0], view)
                if self.aligned:
                    # The first modality's flips and crop scale hold for all: aligned modalities are usually given the same ones.
                    shared = geometry
                views[name].append(augment(image, view, geometry=geometry))
        if self.num_views == 1:
            results['images'] = {name: None if drawn is None else drawn[0] for name, drawn in views.items()}
        else:
            results['views'] = views
        return results
