"""The rooms of ``projects/decur``, which imports which, and their picture in docs/architecture.md.

``python docs/structure.py`` draws docs/images/structure.svg. tests/test_structure.py keeps the order of the rooms and the picture true.
"""
import ast
import textwrap
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / 'projects' / 'decur'
PICTURE = Path(__file__).parent / 'images' / 'structure.svg'

#: The rooms by floor, from the ground up, and what each is for. A room imports only from floors below its own.
FLOORS = (
    dict(errors='errors that name the cure', registry='the registry of readers', version=''),
    dict(modalities='what a modality entry is; concat and split', sensors='bands and statistics of known sensors',
         hha='depth to HHA, a pure function', resizing='any number of channels, exact', gathering='rows of all processes',
         writing='atomic files', progress='progress and ETA', shipped='configs that come with the package'),
    dict(readers='a file, band, archive or store record to an array (H, W, C)', parallel='jobs over worker processes',
         dataset_record='what a written folder holds', compat='workarounds, one a file',
         binding='the modalities of a config, given to its parts'),
    dict(datasets='which samples there are, and where their files lie', transforms='arrays to views, or to one image',
         weights='what a checkpoint is; strict loading; export'),
    dict(models='encoders in stages, interactions, projectors, objectives, heads', synthetic='samples with known factors, drawn in memory',
         visualization='pictures of samples and predictions'),
    dict(engine='optimizer, samplers, hooks, launching', scenes='whole rasters: one grid, windows, blending, COG'),
    dict(evaluation='metrics, probes, decoupling scores, tables of results'),
    dict(explain='alignment, t-SNE, saliency, and the report'),
    dict(apis='calls for programs: load, features, inference, export', prepare='releases to a compact store; inspection',
         cli='arguments that command lines share'),
)

#: The path of a sample: room, what it gives on.
PATH = (
    ('datasets', "sources {name: path}"),
    ('readers', 'images {name: (H, W, C)}'),
    ('transforms', 'two views a modality, or one stacked image'),
    ('models', 'embeddings {name: (N, K)}, or class scores'),
    ('evaluation', 'a number in a table'),
)


def room_of(path: Path) -> str:
    """The room of a file: its folder below the package, or the file itself where it lies at the top."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> set:
    """Full names of what a file imports from this package, wherever in the file the import stands."""
    package = ('decur', *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[:len(package) - node.level + 1]) if node.level else []
            module = '.'.join(base + ([node.module] if node.module else []))
            # `from . import x` and `from decur import x` name rooms behind the import.
            found |= {f'{module}.{alias.name}' for alias in node.names} if module == 'decur' else {module}
    return {name for name in found if name.startswith('decur.')}


def edges() -> dict:
    """``{(room, imported room): files that import}``, without imports inside a room and without the package's own ``__init__``."""
    found = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        if path.parent == PACKAGE and path.name == '__init__.py':
            continue
        for name in imports(path):
            pair = room_of(path), name.split('.')[1]
            if pair[0] != pair[1]:
                found.setdefault(pair, []).append(str(path.relative_to(PACKAGE)))
    return found


def _text(x, y, words, size=13, weight='normal', colour='#222', anchor='start') -> str:
    return (f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}">'
            f'{escape(words)}</text>')


def picture() -> str:
    """The house as SVG: floors from the ground up, and beside them the path of a sample."""
    width, left, floor, gap = 1180, 16, 74, 8
    house = 800
    height = len(FLOORS) * (floor + gap) + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">', f'<rect width="{width}" height="{height}" fill="white"/>',
           _text(left, 28, 'projects/decur: a room imports only from the floors below it', 15, 'bold')]
    on_path = {room for room, _ in PATH}
    for i, rooms in enumerate(FLOORS):
        y = height - 14 - (i + 1) * (floor + gap)
        box = (house - gap * (len(rooms) - 1)) / len(rooms)
        for j, (room, purpose) in enumerate(rooms.items()):
            x = left + j * (box + gap)
            fill = '#dcebf7' if room in on_path else '#f1f1ee'
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{box:.1f}" height="{floor}" rx="5" fill="{fill}" stroke="#8a99a8"/>')
            out.append(_text(f'{x + 9:.1f}', y + 21, room, 14, 'bold'))
            for k, line in enumerate(textwrap.wrap(purpose, max(int((box - 16) / 6.4), 10))[:3]):
                out.append(_text(f'{x + 9:.1f}', y + 38 + 14 * k, line, 11, colour='#444'))
    x, y = left + house + 40, 28
    out.append(_text(x, y, 'The path of a sample', 15, 'bold'))
    y += 26
    out.append(_text(x, y, 'files on disk', 13))
    for room, given in PATH:
        out.append(f'<path d="M{x + 12} {y + 8} v22 m-5 -7 l5 7 l5 -7" fill="none" stroke="#2b6ca3" stroke-width="1.6"/>')
        out.append(_text(x + 28, y + 26, room, 13, 'bold', '#2b6ca3'))
        y += 50
        for line in textwrap.wrap(given, 42):
            out.append(_text(x, y, line, 13))
            y += 17
        y -= 17
    return '\n'.join((*out, '</svg>')) + '\n'


if __name__ == '__main__':
    PICTURE.write_text(picture(), encoding='utf-8')
