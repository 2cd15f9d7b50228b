"""An augmentation for data with known factors: it adds noise, shifts and brightens, and leaves all other factors as they are."""
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from decur.errors import ConfigError

#: Normals to draw windows of: NumPy's global generator would take most of a sample's time for the noise of its views.
_NORMALS = np.random.default_rng(0).standard_normal(2**21, np.float32)


@TRANSFORMS.register_module()
class NoiseAugmentation(BaseTransform):
    """Additive Gaussian noise, a shift of whole pixels (edges repeated) and a brightness offset, for :class:`MakeViews`.

    Unlike crops, flips and colour jitter it keeps colour, texture, orientation and (but for the shift) position and size, so
    any of these can be a factor that is private to a modality.

    Args:
        std (float): Standard deviation of the noise, in the units of the image. Defaults to 0.1.
        shift (int): Largest shift in pixels along each axis. Defaults to 0.
        brightness (float): Largest offset of the whole image, in its units. Defaults to 0.
    """

    def __init__(self, std: float = 0.1, shift: int = 0, brightness: float = 0.0):
        if std < 0 or shift < 0 or brightness < 0:
            raise ConfigError(f'std, shift and brightness must not be negative, got {std}, {shift}, {brightness}.')
        self.std, self.shift, self.brightness = std, int(shift), brightness

    def sample_geometry(self, aspect: float = 1.0, view: int = 0) -> tuple:
        """Draw the shift ``(rows, columns)``, which aligned views share; it depends on neither the aspect of the image nor the view."""
        if not self.shift:
            return 0, 0
        return np.random.randint(-self.shift, self.shift + 1), np.random.randint(-self.shift, self.shift + 1)

    def __call__(self, image: np.ndarray, view: int = 0, geometry: tuple | None = None, missing: np.ndarray | None = None) -> np.ndarray:
        """Draw a view.

        Args:
            image (ndarray): ``(H, W, C)``.
            view (int): Which of the two views; both are drawn alike.
            geometry (tuple, optional): The shift, from :meth:`sample_geometry`.
            missing (ndarray, optional): ``(H, W, C)`` bool; missing pixels keep their value.

        Returns:
            ndarray: ``(H, W, C)`` float32.
        """
        rows, columns = self.sample_geometry() if geometry is None else geometry
        height, width = image.shape[:2]
        if rows or columns:
            # Edges are repeated.
            index = np.clip(np.arange(height) + rows, 0, height - 1)[:, None], np.clip(np.arange(width) + columns, 0, width - 1)
            image, missing = image[index], None if missing is None else missing[index]
        out = self._noise(image.size).reshape(image.shape)
        out += image
        if self.brightness:
            out += np.float32(np.random.uniform(-self.brightness, self.brightness))
        return out if missing is None else np.where(missing, image, out).astype(np.float32, copy=False)

    def _noise(self, size: int) -> np.ndarray:
        """``(size,)`` float32: a window of the table at a random place; drawn anew where an image is larger than half the table."""
        if 2 * size > len(_NORMALS):
            return np.random.standard_normal(size).astype(np.float32) * np.float32(self.std)
        start = np.random.randint(len(_NORMALS) - size + 1)
        return _NORMALS[start:start + size] * np.float32(self.std)

    def transform(self, results: dict) -> dict:
        """As a pipeline step: every image of the sample."""
        masks = results.get('masks', {})
        results['images'] = {name: None if x is None else self(x, missing=masks.get(name)) for name, x in results['images'].items()}
        return results
