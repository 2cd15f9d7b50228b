"""Which files of several folders show the same place, by their names."""
import os
import re
from collections.abc import Mapping
from functools import partial
from itertools import product

from decur.datasets import Part

#: A word of a file name ends here.
_BREAK = re.compile(r'[-_. ]')


def match_names(parts: Mapping) -> dict:
    """The parts, with ids that are the same for the same place where names differ only in what all files of a folder begin or end with.

    ``S1_001.tif`` and ``S2_001.tif``, or ``001_sar.tif`` and ``001_rgb.tif``, become ``001``, with a pattern in ``files``. Whole words are
    taken away, and only if no sample is common as the names are.

    Args:
        parts (dict[str, Part]): Of all folders.

    Returns:
        dict[str, Part]: The same, where names match already or cannot be made to.
    """
    if len(parts) < 2 or set.intersection(*(set(part.ids) for part in parts.values())):
        return dict(parts)
    choices = [(part, *_shortened(part)) for part in parts.values()]
    # The most samples in common, from the fewest folders whose names were changed.
    best = max(product(*choices), key=lambda chosen: (len(set.intersection(*(set(part.ids) for part in chosen))),
                                                      -sum(part not in parts.values() for part in chosen)))
    return dict(zip(parts, best))


def _shortened(part: Part) -> list:
    """The part with shorter ids, if all its names begin or end with the same words; else none."""
    names = [name.rpartition('/')[2] for name in part.ids]
    if len(names) < 2:
        return []
    start = os.path.commonprefix(names)
    start = start[:max((found.end() for found in _BREAK.finditer(start)), default=0)]
    end = os.path.commonprefix([name[len(start):][::-1] for name in names])[::-1]
    first = _BREAK.search(end)
    end = end[first.start():] if first else ''
    if not start and not end:
        return []
    whole = {name[:len(name) - len(base)] + base[len(start):len(base) - len(end)]: name for name, base in zip(part.ids, names)}
    suffixes = part.files['suffix']
    patterns = [f'{start}{{id}}{end}{suffix}' for suffix in ([suffixes] if isinstance(suffixes, str) else suffixes)]
    return [part._replace(ids=sorted(whole), source=partial(_source, part.source, whole),
                          files=dict(folder=part.files['folder'], pattern=patterns[0] if len(patterns) == 1 else tuple(patterns)))]


def _source(source, whole: Mapping, sample_id: str):
    return source(whole[sample_id])
