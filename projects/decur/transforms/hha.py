"""HHA made while loading (:mod:`decur.hha`)."""
from mmengine.registry import TRANSFORMS

from decur.errors import DataError
from decur.hha import depth_to_hha
from decur.readers import build_reader

from .loading import BoundTransform


@TRANSFORMS.register_module()
class DepthToHHA(BoundTransform):
    """Make the HHA of a sample from its depth while loading, instead of reading HHA from disk.

    Needs ``depth_source``, ``intrinsics`` and, optionally, ``raw_depth_source``, which :class:`~decur.datasets.RGBDDataset` hands over;
    sets ``images[hha]`` to (H, W, 3) uint8. An HHA of 480x640 pixels takes 0.15 s of one core: for many epochs, make it once with
    ``tools/make_hha.py``.

    Args:
        hha (str): Name of the modality. Defaults to ``'hha'``.
        reader (dict): A ``DepthReader`` config. Defaults to ``dict(type='DepthReader')`` (16-bit millimetres).
    """

    def __init__(self, hha: str = 'hha', reader: dict | None = None):
        self.hha = hha
        self.reader = build_reader(reader or dict(type='DepthReader'))

    def transform(self, results: dict) -> dict:
        """Read the depth and encode it.

        Raises:
            DataError: No depth or intrinsics, a depth that is not metres, or one of another size than the sample's other images.
        """
        sample_id = results.get('sample_id')
        for key in ('depth_source', 'intrinsics'):
            if results.get(key) is None:
                raise DataError(f'sample {sample_id!r} has no {key}, of which HHA is made; RGBDDataset with files=None in the entry of '
                                f'{self.hha!r} hands it over.')
        depth = self.reader.metres(results['depth_source'])
        for name, image in results.get('images', {}).items():
            if name != self.hha and image is not None and image.shape[:2] != depth.shape:
                raise DataError(f'sample {sample_id!r}: {name!r} is {image.shape[:2]} and depth {depth.shape} '
                                f'({results["depth_source"]}); RGB and depth must be of one size, pixel on pixel.')
        raw = results.get('raw_depth_source')
        raw = None if raw is None else self.reader.metres(raw)
        try:
            results.setdefault('images', {})[self.hha] = depth_to_hha(depth, results['intrinsics'], raw)
        except DataError as error:
            raise DataError(f'sample {sample_id!r}: {error}') from error
        return results
