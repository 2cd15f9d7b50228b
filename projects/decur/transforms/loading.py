"""Sources to arrays: the images of every modality and the label map."""
from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from decur.errors import DataError
from decur.readers.files import build_reader


class BoundTransform(BaseTransform):
    """A transform that needs the dataset's modality entries; the dataset binds it when it is built."""

    modalities: dict | None = None

    def bind(self, modalities: Mapping, dataset) -> None:
        """Remember the entries.

        Args:
            modalities (dict[str, dict]): The dataset's entries.
            dataset (MultimodalDataset): The dataset, for its classes and ignore index.
        """
        self.modalities = modalities


@TRANSFORMS.register_module()
class LoadModalities(BoundTransform):
    """Read every modality with the reader of its entry.

    Needs ``sources`` (``{name: source or None}``); adds ``images`` (``{name: (H, W, C) array or None}``), with the entry's ``radiometry``
    applied and as many channels as it says. A list of sources (one per view, see :class:`DrawSeasons`) gives a list of images; a source
    that occurs twice in it is read once.
    """

    def bind(self, modalities: Mapping, dataset) -> None:
        """Build one reader per entry."""
        super().bind(modalities, dataset)
        self.readers = {name: build_reader(entry.get('reader')) for name, entry in modalities.items()}
        self.radiometry = {name: [TRANSFORMS.build(cfg) for cfg in entry.get('radiometry') or ()] for name, entry in modalities.items()}

    def transform(self, results: dict) -> dict:
        """Read the sample.

        Raises:
            DataError: If a file has another number of channels than its modality.
        """
        results['images'] = {}
        for name, entry in self.modalities.items():
            source = results['sources'].get(name)
            if source is None:
                results['images'][name] = None
                continue
            if isinstance(source, list):
                read = []
                for i, one in enumerate(source):
                    twin = source.index(one)
                    read.append(read[twin] if twin < i else self._read(name, entry, one))
                results['images'][name] = read
            else:
                results['images'][name] = self._read(name, entry, source)
        return results

    def _read(self, name: str, entry: Mapping, source) -> np.ndarray:
        image = self.readers[name](source)
        try:
            for step in self.radiometry[name]:
                image = step(image)
        except DataError as error:
            raise DataError(f'{source}: modality {name!r}: {error}') from error
        if image.ndim != 3 or image.shape[2] != entry['channels']:
            raise DataError(f'{source}: modality {name!r} has {entry["channels"]} channels, the file has shape {image.shape} '
                            '(H, W, C). Correct channels in the entry, or choose bands with reader=dict(type=..., bands=[...]).')
        return image
