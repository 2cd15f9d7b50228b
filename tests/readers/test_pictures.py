"""PNG, JPEG and their kin: 16-bit colour, modes, EXIF, damage."""
import struct
import zlib

import cv2
import numpy as np
import pytest
from helpers import write_tif
from PIL import Image, ImageOps

from decur.errors import ConfigError, DataError
from decur.readers import AutoReader, PillowReader, RasterioReader, read_size


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_16_bit_pngs_keep_every_value(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 65536, (16, 20, channels), dtype=np.uint16)
    stored = image if channels == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA)
    assert cv2.imwrite(str(tmp_path / 'a.png'), stored)
    for reader in (PillowReader(), AutoReader(), RasterioReader()):
        read = reader(tmp_path / 'a.png')
        assert read.dtype == np.uint16 and np.array_equal(read, image)
    part = PillowReader()(dict(path=tmp_path / 'a.png', window=(2, 3, 5, 6)))
    assert np.array_equal(part, image[2:7, 3:9])


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'P', 'CMYK', '1'])
@pytest.mark.parametrize('channels', [1, 3])
def test_16_bits_do_not_fit_a_mode_of_8(tmp_path, mode, channels):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 4, channels), 30000, np.uint16))
    with pytest.raises(DataError, match=f"a.png has 16 bits, which do not fit mode='{mode}'"):
        PillowReader(mode=mode)(tmp_path / 'a.png')


@pytest.mark.parametrize('mode', ['I', 'F'])
def test_modes_of_32_bits_hold_16(tmp_path, mode):
    deep = np.linspace(0, 65535, 16).astype(np.uint16).reshape(4, 4)
    Image.fromarray(deep).save(tmp_path / 'a.png')
    assert np.array_equal(PillowReader(mode=mode)(tmp_path / 'a.png')[..., 0], deep)
    with pytest.raises(ConfigError, match="got 'BGR'"):
        PillowReader(mode='BGR')


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_applied(tmp_path, name, orientation):
    """What is read is what viewers and label tools show; the size that is told without reading is that of what is read."""
    scene = np.zeros((24, 32, 3), np.uint8)
    scene[:12, :16] = 220
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene).save(tmp_path / name, exif=exif)
    with Image.open(tmp_path / name) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    read = AutoReader()(tmp_path / name)
    assert np.array_equal(read, shown) and read_size(tmp_path / name) == shown.shape[:2]
    part = AutoReader()(dict(path=tmp_path / name, window=(3, 4, 10, 12)))
    assert np.array_equal(part, shown[3:13, 4:16])
    if orientation > 1 and name == 'a.jpg':
        with pytest.raises(DataError, match="turned by EXIF.*PillowReader"):
            RasterioReader()(tmp_path / name)


def test_1_bit_cmyk_palette_and_grey_alpha(tmp_path):
    bit = np.array([[True, False]])
    Image.fromarray(bit).save(tmp_path / 'bit.png')
    assert PillowReader()(tmp_path / 'bit.png').tolist() == [[[1], [0]]]
    assert PillowReader(mode='L')(tmp_path / 'bit.png').tolist() == [[[255], [0]]]
    Image.fromarray(np.full((8, 8, 4), 40, np.uint8), 'CMYK').save(tmp_path / 'c.jpg', quality=100)
    assert PillowReader()(tmp_path / 'c.jpg').shape == (8, 8, 4) and PillowReader(mode='RGB')(tmp_path / 'c.jpg').shape == (8, 8, 3)
    Image.fromarray(np.full((8, 8, 2), 40, np.uint8), 'LA').save(tmp_path / 'la.png')
    assert PillowReader()(tmp_path / 'la.png').shape == (8, 8, 2)


def chunks(data):
    """``(start, kind, length)`` of the chunks of a PNG."""
    position = 8
    while position < len(data):
        length, kind = struct.unpack('>I4s', data[position:position + 8])
        yield position, kind, length
        position += 12 + length


@pytest.mark.parametrize('reader', [PillowReader, RasterioReader, AutoReader])
def test_every_checksum_of_a_png_is_compared(tmp_path, reader):
    """A flipped bit anywhere is an error, in the pixels too, whose checksums Pillow does not compare."""
    image = np.random.default_rng(0).integers(0, 4, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / 'a.png')
    whole = (tmp_path / 'a.png').read_bytes()
    start, _, length = next(chunk for chunk in chunks(whole) if chunk[1] == b'IDAT')
    rng = np.random.default_rng(1)
    for place in (*rng.integers(start + 8, start + 12 + length, 12), *rng.integers(8, len(whole), 12), len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / 'b.png').write_bytes(damaged)
        with pytest.raises(DataError, match='b.png cannot be read'):
            reader()(tmp_path / 'b.png')
    assert np.array_equal(reader()(tmp_path / 'a.png'), image)


@pytest.mark.parametrize('name', ['a.png', 'a.jpg', 'a.webp', 'a.bmp'])
@pytest.mark.parametrize('share', [0, .1, .5, .97])
def test_truncated_pictures_are_named(tmp_path, name, share):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:int(share * len(data))])
    with pytest.raises(DataError, match=f'{name} cannot be read'):
        AutoReader()(tmp_path / name)


def bomb(path, height, width, colours=2):
    """A PNG of a few bytes that claims ``height`` x ``width`` pixels, its checksums in order."""
    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, colours, 0, 0, 0))
                     + chunk(b'IDAT', zlib.compress(bytes(100))) + chunk(b'IEND', b''))


@pytest.mark.parametrize('size', [(40000, 40000), (2**31 - 1, 1), (65535, 65535)])
def test_a_picture_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path, size, monkeypatch):
    bomb(tmp_path / 'a.png', *size)
    with pytest.raises(DataError, match=f'a.png claims {size[0]}x{size[1]}x3 values .*DECUR_MAX_IMAGE_GIB') as error:
        PillowReader()(tmp_path / 'a.png')
    assert '\n' not in str(error.value)
    bomb(tmp_path / 'b.png', 12000, 12000, 0)  # more than Pillow's own limit, less than ours
    monkeypatch.setenv('DECUR_MAX_IMAGE_GIB', '0.1')
    with pytest.raises(DataError, match='b.png claims 12000x12000x1'):
        PillowReader()(tmp_path / 'b.png')
    monkeypatch.setenv('DECUR_MAX_IMAGE_GIB', 'much')
    with pytest.raises(ConfigError, match="DECUR_MAX_IMAGE_GIB must be a number of GiB, got 'much'"):
        PillowReader()(tmp_path / 'b.png')


def test_a_picture_with_another_suffix(tmp_path):
    write_tif(tmp_path / 'a.tif', np.zeros((4, 4), np.uint8))
    (tmp_path / 'a.tif').rename(tmp_path / 'a.jpg')
    assert PillowReader()(tmp_path / 'a.jpg').shape == (4, 4, 1)
    (tmp_path / 'text.png').write_text('no picture')
    with pytest.raises(DataError, match='text.png cannot be read as an image'):
        AutoReader()(tmp_path / 'text.png')


@pytest.mark.parametrize('suffix', ['png', 'webp'])
def test_animated_pictures_are_refused(tmp_path, suffix):
    first, *others = [Image.fromarray(np.full((8, 8, 3), 80 * i, np.uint8)) for i in range(3)]
    path = tmp_path / f'a.{suffix}'
    first.save(path, save_all=True, append_images=others)
    for read in (AutoReader(), read_size):
        with pytest.raises(DataError, match=f'a.{suffix} is animated: it holds 3 images'):
            read(path)


def test_previews_in_a_jpeg_are_left_out(tmp_path):
    first, *others = [Image.fromarray(np.full((8, 8, 3), 80 * i, np.uint8)) for i in range(3)]
    first.save(tmp_path / 'a.jpg', format='MPO', save_all=True, append_images=others)
    assert not AutoReader()(tmp_path / 'a.jpg').any()
