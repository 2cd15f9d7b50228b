import numpy as np
from PIL import Image

from decur.datasets.labels import default_palette
from decur.visualization import label_picture, modality_picture, save_label_map, sheet

PALETTE = [[10, 20, 30], [40, 50, 60]]


def test_label_map_is_indices_as_an_array_and_colours_as_a_picture(tmp_path):
    label = np.array([[0, 1], [255, 1]], np.uint8)
    save_label_map(label, PALETTE, tmp_path / 'a' / 'x.png')
    with Image.open(tmp_path / 'a' / 'x.png') as image:
        assert np.array_equal(np.asarray(image), label)
        assert np.array_equal(np.asarray(image.convert('RGB')), label_picture(label, PALETTE))
    assert label_picture(label, PALETTE)[1, 0].tolist() == [0, 0, 0]


def test_more_than_256_classes_and_other_ignore_indices(tmp_path):
    palette, label = default_palette(847), np.array([[0, 44, 300], [846, 255, 256]], np.uint16)
    save_label_map(label, palette, tmp_path / 'x.png')
    with Image.open(tmp_path / 'x.png') as image:
        assert np.array_equal(np.asarray(image), label)
    picture = label_picture(label, palette, ignore_index=65535)
    assert all(picture[i, j].tolist() == palette[label[i, j]] for i in range(2) for j in range(3))
    for ignore in (255, 65535, -100, 1):
        assert label_picture(np.array([[ignore, 0]]), PALETTE, ignore)[0].tolist() == [[0, 0, 0], PALETTE[0]]


def test_pictures_of_any_number_of_channels():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    assert modality_picture(rgb, 'rgb', dict(channels=3)) is rgb
    bands = ('B1', 'B2', 'B3', 'B4')
    optical = np.zeros((8, 9, 4), np.float32)
    optical[2, 3, 3] = optical[:4, :, 3] = 5000.0
    picture = modality_picture(optical, 'optical', dict(channels=4, bands=bands))
    assert picture[2, 3].tolist() == [255, 0, 0]  # B4 is red
    assert modality_picture(rng.normal(size=(8, 9, 2)), 'sar', dict(channels=2)).shape == (8, 9, 3)
    flat = modality_picture(np.zeros((8, 9, 1)), 'dem', dict(channels=1))
    assert flat.dtype == np.uint8 and not flat.any()


def test_sheet_keeps_every_picture():
    red, blue = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    image = np.asarray(sheet([[red, blue], [blue, red]], ['a', 'b'], legend=dict(x=(0, 255, 0)), cell=20))
    assert (image == (255, 0, 0)).all(-1).sum() == 2 * 400 and (image == (0, 0, 255)).all(-1).sum() == 2 * 400
    assert (image == (0, 255, 0)).all(-1).any()


def test_sheet_writes_titles_of_several_lines_captions_and_a_legend_that_fits():
    grey = np.full((4, 4, 3), 128, np.uint8)
    plain = np.asarray(sheet([[grey] * 2] * 2, ['a', 'b'], cell=60))
    more = np.asarray(sheet([[grey] * 2] * 2, ['a\nb', 'b'], cell=60, captions=[['x', '']] * 2))
    assert more.shape[0] == plain.shape[0] + 22 + 2 * 22 and more.shape[1] == plain.shape[1]
    assert (more == 128).all(-1).sum() >= 4 * 60 * 60  # nothing is written on a picture
    # The captions of the first column are there, those of the second are empty.
    rows = slice(48 + 60, 48 + 60 + 24)
    assert (more[rows, 6:66] < 100).any() and not (more[rows, 72:132] < 100).any()
    names = {f'a long name of class {i}': (0, 255 - i, 0) for i in range(5)}
    legend = np.asarray(sheet([[grey] * 2], ['a', 'b'], legend=names, cell=100))
    found = [(legend == colour).all(-1).sum() for colour in names.values()]
    assert min(found) > 100 and len(set(found)) == 1  # each square is whole: none lies beyond the edge
