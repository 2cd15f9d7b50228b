"""Arrays to pictures: what a modality looks like, what a label map looks like, several side by side."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from decur.modalities import band_names
from decur.writing import naming, replacing

#: Band names that mean red, green, blue in what data sets call them.
_RGB_BANDS = (('R', 'G', 'B'), ('B4', 'B3', 'B2'), ('B04', 'B03', 'B02'))


def modality_picture(image: np.ndarray, name: str, entry: dict) -> np.ndarray:
    """An RGB picture of one modality.

    Three channels of 8 bit are shown as they are. Otherwise the red, green and blue bands (by name), or the first one or three, are
    stretched from their 2nd to their 98th percentile; two channels (VV, VH) are shown as red and green with their mean as blue.

    Args:
        image (ndarray): ``(H, W, C)``.
        name (str): The modality.
        entry (dict): Its entry.

    Returns:
        ndarray: ``(H, W, 3)`` uint8.
    """
    if image.shape[2] == 3 and image.dtype == np.uint8:
        return image
    bands = band_names(name, entry)
    chosen = next(([bands.index(b) for b in names] for names in _RGB_BANDS if all(b in bands for b in names)), None)
    if chosen is None:
        chosen = [0, 1, 2] if image.shape[2] >= 3 else list(range(image.shape[2]))
    picture = image[..., chosen].astype(np.float32)
    low, high = (np.nanpercentile(picture, q, axis=(0, 1)) for q in (2, 98))
    picture = np.nan_to_num((picture - low) / np.maximum(high - low, 1e-6)).clip(0, 1) * 255
    if picture.shape[2] == 1:
        picture = picture.repeat(3, axis=2)
    elif picture.shape[2] == 2:
        picture = np.concatenate([picture, picture.mean(axis=2, keepdims=True)], axis=2)
    return picture.astype(np.uint8)


def label_picture(label: np.ndarray, palette: Sequence, ignore_index: int = 255) -> np.ndarray:
    """An RGB picture ``(H, W, 3)`` of class indices ``(H, W)``; what is no class, such as the ignore index, is black."""
    table = np.zeros((len(palette) + 1, 3), np.uint8)
    table[:-1] = np.asarray(palette, np.uint8)
    label = np.asarray(label)
    return table[np.where((label >= 0) & (label < len(palette)) & (label != ignore_index), label, len(palette))]


def save_label_map(label: np.ndarray, palette: Sequence, path) -> None:
    """Write class indices as a palette PNG: opened as a picture it is coloured, read as an array it is the indices.

    With more than 256 colours it is a grey PNG of 16 bits, whose values are the indices too.
    """
    if len(palette) > 256:
        save_picture(Image.fromarray(np.asarray(label, np.uint16)), path)
        return
    image = Image.fromarray(np.asarray(label, np.uint8), mode='P')
    flat = np.zeros((256, 3), np.uint8)
    flat[:len(palette)] = np.asarray(palette, np.uint8)
    image.putpalette(flat.ravel().tolist())
    save_picture(image, path)


def save_picture(image: Image.Image, path) -> None:
    """Write a picture as PNG, at once; its folder is made."""
    with naming(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        image.save(temporary, format='PNG')


def placeholder(text: str, side: int = 160) -> np.ndarray:
    """A light grey picture with a word, for what is not there: black would look like water or a flat tile."""
    canvas = Image.new('RGB', (side, side), (225, 225, 225))
    ImageDraw.Draw(canvas).text((side / 2, side / 2), text, fill=(110, 110, 110), font=ImageFont.load_default(size=15), anchor='mm')
    return np.asarray(canvas)


def sheet(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], legend: dict | None = None, cell: int = 192,
          captions: Sequence[Sequence[str]] | None = None) -> Image.Image:
    """Rows of pictures under column titles, with optional captions and an optional legend.

    Args:
        rows (Sequence[Sequence[ndarray]]): Pictures ``(H, W, 3)`` uint8; every row has as many as there are titles.
        titles (Sequence[str]): One per column; may have several lines.
        legend (dict[str, Sequence[int]], optional): Colour by name, drawn below.
        cell (int): Width of a picture in the sheet, pixels. The text is as large as its column lets it be, up to a seventh of that, so that
            it can be read on a page that shows the sheet at half its size; a legend of several lines is smaller.
        captions (Sequence[Sequence[str]], optional): A line below each picture.

    Returns:
        Image: The sheet.
    """
    gap = 6
    size = _text_size([line for text in (*titles, *(text for row in captions or () for text in row)) for line in text.split('\n')], cell)
    line, font = round(1.5 * size), ImageFont.load_default(size=size)
    heights = [round(row[0].shape[0] * cell / row[0].shape[1]) for row in rows]
    width = len(titles) * (cell + gap) + gap
    places, bottom = _legend_places(list(legend or {}), font, width - 2 * gap, line)
    small, key = size, font
    if bottom > line:  # many classes: smaller, so that the pictures stay the larger part
        small, key = max(15, cell // 12), ImageFont.load_default(size=max(15, cell // 12))
        places, bottom = _legend_places(list(legend), key, width - 2 * gap, round(1.5 * small))
    head = line * max(1 + title.count('\n') for title in titles)
    below = line if captions else 0
    canvas = Image.new('RGB', (width, head + sum(h + gap + below for h in heights) + bottom + (gap if legend else 0)), 'white')
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        draw.text((gap + column * (cell + gap) + cell / 2, head / 2), title, fill='black', font=font, anchor='mm', align='center')
    top = head
    for row, height, texts in zip(rows, heights, captions or [()] * len(rows)):
        for column, picture in enumerate(row):
            # Nearest where it grows: pixels stay pixels, and label colours stay label colours.
            flag = cv2.INTER_NEAREST if picture.shape[1] <= cell else cv2.INTER_AREA
            picture = cv2.resize(picture, (cell, height), interpolation=flag)
            canvas.paste(Image.fromarray(picture), (gap + column * (cell + gap), top))
        for column, text in enumerate(texts):
            draw.text((gap + column * (cell + gap) + cell / 2, top + height + line / 2), text, fill='black', font=font, anchor='mm')
        top += height + gap + below
    for (name, colour), (x, y) in zip((legend or {}).items(), places):
        x, y, middle = x + gap, y + top, round(1.5 * small) / 2
        draw.rectangle((x, y + middle - small / 2, x + small, y + middle + small / 2), fill=tuple(int(c) for c in colour), outline='black')
        draw.text((x + small + 6, y + middle), name, fill='black', font=key, anchor='lm')
    return canvas


def _text_size(lines: Sequence[str], width: int) -> int:
    """The largest size of text, in pixels, with which every line fits into a column."""
    smallest = max(15, width // 12)
    for size in range(max(smallest, width // 7), smallest, -1):
        font = ImageFont.load_default(size=size)
        if all(font.getlength(line) <= width for line in lines):
            return size
    return smallest


def _legend_places(names: Sequence[str], font, width: int, line: int) -> tuple:
    """Where the entries of a legend stand, ``(x, y)`` each, and the height of all."""
    places, x, y = [], 0, 0
    for name in names:
        length = 2 * line + round(font.getlength(name))
        if x and x + length > width:
            x, y = 0, y + line
        places.append((x, y))
        x += length
    return places, y + line if places else 0
