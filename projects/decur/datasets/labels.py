"""From the values in label files to classes: the one place that knows of void values, chosen, merged and background classes."""
import os
from collections.abc import Mapping, Sequence

import numpy as np

from decur.errors import ConfigError

from .finding import read_list


class LabelTable:
    """What each value of the label files means.

    The files' classes are a data set's own or, where it has none, those that the config names. Their values count from 0; with
    ``reduce_zero_label`` from 1, and 0 is void; with ``values`` they are as it says. Of these classes ``classes`` takes some, in its order,
    and ``groups`` merges them; a value whose class is left out becomes the ignore index. Everything goes by name, so that the options can
    be combined.

    Args:
        own (Sequence[str]): The data set's own classes, in the order of their values; empty if the config names them.
        own_palette (Sequence, optional): Their colours.
        classes (Sequence[str] | str, optional): ``metainfo['classes']``: a choice of the own classes, or the classes of the files. A string
            is a text file with a name a line.
        palette (Sequence, optional): ``metainfo['palette']``: a colour, three integers from 0 to 255, for each of ``classes``.
        groups (dict[str, Sequence[str]], optional): Name of a merged class to what it is made of.
        values (dict[int, str | None], optional): Value in the files to class, None for void. Replaces counting and ``reduce_zero_label``.
        reduce_zero_label (bool): See above.
        ignore_index (int): What void pixels become; -32768 to 65535.

    Attributes:
        classes (tuple[str] | None): The classes after choosing and merging; their index is the label. None without names.
        palette (list | None): Their colours: those given, a group's first member's, or colours that are all different.
        index (dict[int, int]): Value in the files to label; a value that is not in it, other than the ignore index, is an error.
        explicit (bool): Whether ``values`` was given.
        dtype (dtype): The smallest of uint8, uint16 and int16 that holds the labels and the ignore index.

    Raises:
        ConfigError: Names that are unknown, twice, or a string; a palette of another length; an ignore index that is a class.
    """

    def __init__(self,
                 own: Sequence = (),
                 own_palette: Sequence | None = None,
                 *,
                 classes: Sequence | str | None = None,
                 palette: Sequence | None = None,
                 groups: Mapping | None = None,
                 values: Mapping | None = None,
                 reduce_zero_label: bool = False,
                 ignore_index: int = 255):
        own, chosen = tuple(own), _names(classes, 'classes')
        unknown = [name for name in chosen if own and name not in own]
        if unknown:
            raise ConfigError(f'classes {unknown} are not among those of the data set: {list(own)}.')
        in_files, chosen = own or chosen, chosen or own
        colours = dict(zip(own, _colours(own_palette, own, 'the data set') if own_palette else default_palette(len(own))))
        if palette is not None or not own:
            colours.update(zip(chosen, default_palette(len(chosen)) if palette is None else _colours(palette, chosen, 'metainfo')))
        members = _groups(groups, chosen) if groups else {name: (name, ) for name in chosen}

        self.explicit = values is not None
        self.reduce_zero_label = bool(reduce_zero_label) and not self.explicit
        self.ignore_index = _ignore_index(ignore_index, len(members))
        self.classes = tuple(members) or None
        self.palette = [colours[group[0]] for group in members.values()] or None
        place = {name: i for i, group in enumerate(members.values()) for name in group}
        if self.explicit:
            meaning = _values(values, in_files)
        else:
            meaning = {i + int(self.reduce_zero_label): name for i, name in enumerate(in_files)}
            meaning.update({0: None} if self.reduce_zero_label else {})
        self.index = {value: place.get(name, self.ignore_index) for value, name in meaning.items()}
        bounds = min(0, self.ignore_index), max(len(members) - 1, self.ignore_index)
        self.dtype = next((np.dtype(kind) for kind in ('uint8', 'uint16', 'int16')
                           if np.iinfo(kind).min <= bounds[0] and bounds[1] <= np.iinfo(kind).max), None)
        if self.dtype is None:
            raise ConfigError(f'ignore_index={ignore_index} and {len(members)} classes fit no 16-bit type.')


def _names(classes, what: str) -> tuple:
    if isinstance(classes, str):
        if not os.path.isfile(classes):
            raise ConfigError(f"{what} is the string {classes!r}, and no such file exists. Write a tuple of names: ('{classes}', ).")
        classes = read_list(classes)
    names = tuple(classes or ())
    wrong = [name for name in names if not isinstance(name, str) or not name.strip()]
    if wrong:
        raise ConfigError(f'{what} has {wrong[:5]}; every class needs a name.')
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f'{what} has {twice} twice; every class needs a name of its own.')
    return names


def _groups(groups: Mapping, classes: Sequence) -> dict:
    members = {name: _names([] if isinstance(group, str) else group, f'class_groups[{name!r}]') for name, group in groups.items()}
    empty = [name for name, group in members.items() if not group]
    if empty:
        raise ConfigError(f"class_groups: {empty} need a sequence of class names, for example {empty[0]}=('{groups[empty[0]] or 'a'}', ).")
    named = [name for group in members.values() for name in group]
    wrong = [name for name in named if name not in classes] + sorted({name for name in named if named.count(name) > 1})
    if wrong:
        raise ConfigError(f'class_groups names {wrong}, which are no classes or stand in two groups; the classes are {list(classes)}.')
    return members


def _values(values: Mapping, names: Sequence) -> dict:
    meaning = {}
    for value, name in values.items():
        try:
            number = int(value)  # a config that was written to a file has strings for keys
        except ValueError as error:
            raise ConfigError(f'label_values has {value!r}; it maps integers in the files to class names, {{0: {names[0]!r}}}.') from error
        if name is not None and name not in names:
            raise ConfigError(f'label_values[{value!r}] is {name!r}, which is no class; the classes are {list(names)} (None for no label).')
        meaning[number] = name
    return meaning


def _ignore_index(value, num_classes: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not -2**15 <= value < 2**16:
        raise ConfigError(f'ignore_index must be an integer from {-2**15} to {2**16 - 1}, got {value!r}.')
    if 0 <= value < num_classes:
        raise ConfigError(f'ignore_index={value} is one of the {num_classes} classes. Choose one that is none (65535), and give it to the '
                          'decode_head, its losses and the evaluator too.')
    return int(value)


def _colours(palette: Sequence, names: Sequence, owner: str) -> list:
    colours = [list(colour) for colour in palette]
    if len(colours) != len(names):
        raise ConfigError(f'the palette of {owner} has {len(colours)} colours for {len(names)} classes. Give one for each, or leave it '
                          'out.')
    for name, colour in zip(names, colours):
        if len(colour) != 3 or not all(isinstance(c, int | np.integer) and 0 <= c <= 255 for c in colour):
            raise ConfigError(f'the colour of class {name!r} is {colour}; it must be red, green and blue, integers from 0 to 255.')
    return colours


def default_palette(count: int) -> list:
    """Colours ``[[r, g, b], ...]`` for classes that have none, all different for up to 2^24 - 1 classes, none black: the bits of i + 1
    spread over red, green and blue from the highest bit down.
    """
    colours = []
    for i in range(count):
        colour, value = [0, 0, 0], i + 1
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= ((value >> channel) & 1) << (7 - bit)
            value >>= 3
        colours.append(colour)
    return colours
