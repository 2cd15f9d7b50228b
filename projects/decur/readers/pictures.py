"""PNG, JPEG, BMP and WebP with Pillow."""
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from decur.errors import ConfigError, DataError, check_choice
from decur.registry import READERS

from .base import Reader, check_file, check_memory, check_window, split_source

#: Suffixes of pictures.
IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
_PNG = b'\x89PNG\r\n\x1a\n'
#: The checksum of a PNG's last chunk, which is empty.
_PNG_END = b'\xaeB`\x82'
#: Modes that hold 16-bit values without loss.
_DEEP_MODES = ('I', 'F', 'I;16')


@contextmanager
def open_picture(path: Path):
    """Open a picture with Pillow, without decoding it; its claimed size is checked.

    Raises:
        DataError: If it is no picture, damaged, animated, or claims more than :func:`~decur.readers.base.check_memory` allows.
    """
    from PIL import Image
    check_file(path)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours, which can be raised, is compared instead
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)
            with open(path, 'rb') as file, Image.open(file) as image:
                check_memory(path, image.height, image.width, len(image.getbands()), 1 if image.mode not in _DEEP_MODES else 4)
                # Cameras append previews to a JPEG (MPO); the frames of a PNG or WebP are images of their own.
                if getattr(image, 'n_frames', 1) > 1 and image.format in ('PNG', 'WEBP'):
                    raise DataError(f'{path} is animated: it holds {image.n_frames} images. Write the one that is meant.')
                yield image
    except (DataError, ConfigError):
        raise
    except Exception as error:  # Pillow's decoders raise many kinds
        raise DataError(f'{path} cannot be read as an image ({error}). Is it complete? Download or write it again.') from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def check_png(path: Path) -> str:
    """Compare every checksum of a PNG, which Pillow does not do for the pixels by itself.

    Returns:
        str: What Pillow calls its pixels: ``'L'``, ``'RGB;16B'`` for colours of 16 bits, ...; empty for a file that is no PNG.

    Raises:
        DataError: If it is truncated or a checksum does not fit.
    """
    with open(path, 'rb') as file:
        if file.read(len(_PNG)) != _PNG:
            return ''
    with open_picture(path) as image:
        kind, file = image.tile[0][3], image.fp
        image.verify()
        if file.read(len(_PNG_END)) != _PNG_END:
            raise DataError(f'{path} cannot be read: the checksum of its last chunk does not fit. Download or write it again.')
    return kind


def picture_size(path: Path) -> tuple:
    """Height and width of a picture as it is read: after EXIF's orientation.

    Raises:
        DataError: As :func:`open_picture`.
    """
    with open_picture(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


@READERS.register_module()
class PillowReader(Reader):
    """Read a PNG, JPEG, BMP or WebP: RGB order, 8 or 16 bit (16-bit colour included), palette indices as they are, CMYK as four channels.

    The orientation that EXIF gives is applied, so the image is what viewers and label tools show. An alpha channel is a channel; where
    ``mode`` leaves it out ('RGB', 'L'), fully transparent pixels are missing.

    Args:
        mode (str, optional): Convert to this Pillow mode first (``'RGB'``, ``'L'``). Defaults to None: as stored, palettes as indices.
        **kwargs: ``missing``, ``nodata`` and ``dtype``, as :class:`~decur.readers.base.Reader`.

    Raises:
        ConfigError: If Pillow has no such mode.
    """

    def __init__(self, mode: str | None = None, **kwargs):
        from PIL import Image
        super().__init__(**kwargs)
        self.mode = mode if mode is None else check_choice('mode', mode, Image.MODES)

    def decode(self, source) -> tuple:
        """See :class:`~decur.readers.base.Reader`."""
        path, window = split_source(source)
        check_file(path)
        kind = check_png(path)
        deep = ';16' in kind
        if deep and self.mode not in (None, *_DEEP_MODES):
            raise DataError(f'{path} has 16 bits, which do not fit mode={self.mode!r}: every value above 255 would become 255. Leave out '
                            'mode for the 16-bit values, or write the file with 8 bits.')
        array, missing = self._deep(path) if deep and not kind.startswith('I') else self._plain(path)
        array = array[..., None] if array.ndim == 2 else array
        if deep and array.dtype.kind == 'i' and self.mode is None:  # older versions of Pillow open 16 bits as 32
            array = array.astype(np.uint16)
        missing = None if missing is None else np.broadcast_to(missing[..., None], array.shape)
        if window is not None:
            check_window(path, array.shape, window)
            part = np.s_[window[0]:window[0] + window[2], window[1]:window[1] + window[3]]
            array, missing = array[part], None if missing is None else missing[part]
        return array, self.mark(array, missing)

    def _plain(self, path: Path) -> tuple:
        from PIL import ImageOps
        with open_picture(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            if self.mode is None or self.mode == image.mode:
                return np.asarray(image), None
            hidden = None
            if image.has_transparency_data and not self.mode.lower().endswith('a'):
                hidden = np.asarray(image.convert('RGBA'))[..., 3] == 0
            return np.asarray(image.convert(self.mode)), hidden

    def _deep(self, path: Path) -> tuple:
        """16-bit colour, which Pillow would cut to 8 bits."""
        from .rasters import open_raster
        with open_picture(path) as image:
            orientation = image.getexif().get(0x0112, 1)
        if orientation != 1:
            raise DataError(f'{path} has 16-bit colours and an EXIF orientation of {orientation}, which is applied to 8-bit pictures only: '
                            'write it upright.')
        with open_raster(path) as raster:
            return raster.read().transpose(1, 2, 0), None
