"""Let programs import modules by their earlier names, before readers, preparation and generated data got rooms of their own.

A class or function is the same object under both names. Delete this file when no program uses the earlier names any more.
"""
import importlib
import importlib.abc
import importlib.machinery
import sys

#: Earlier name, and the one of today.
MOVED = {
    'decur.datasets.bands': 'decur.readers.bands',
    'decur.datasets.depth': 'decur.readers.depth',
    'decur.datasets.inspect': 'decur.prepare.inspect',
    'decur.datasets.prepare': 'decur.prepare',
    'decur.datasets.readers': 'decur.readers',
    'decur.datasets.store': 'decur.readers.store',
    'decur.datasets.table': 'decur.readers.table',
    'decur.datasets.zarr_archives': 'decur.readers.zarr_archives',
    **{f'decur.synthetic.{name}': f'decur_worlds.{name}' for name in (
        'furniture', 'landcover', 'landcover_aerial', 'landcover_layouts', 'landcover_sensors', 'raycast', 'rgbd_layouts', 'rooms',
        'rooms_dataset', 'shard_layouts', 'textures')},
}


class _Moved(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under its earlier name, and puts the one of today in its place."""

    def find_spec(self, name, path=None, target=None):
        earlier = name.startswith(('decur.datasets.', 'decur.synthetic.'))
        room = earlier and next((room for room in MOVED if f'{name}.'.startswith(f'{room}.')), None)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if room else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        room = next(room for room in MOVED if f'{module.__name__}.'.startswith(f'{room}.'))
        sys.modules[module.__name__] = importlib.import_module(MOVED[room] + module.__name__[len(room):])


def heed() -> None:
    """Look for earlier names first: below ``decur.datasets.prepare``, which is a room of today, Python would find the files once more."""
    sys.meta_path.insert(0, _Moved())
