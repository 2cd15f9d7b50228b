"""SSL4EO-S12 v1.1 (Blumenstiel et al., arXiv 2503.00168) and TerraMesh (Blumenstiel et al., arXiv 2504.11172) as they are shipped now: tar
shards of zarr archives, in a folder or at an address."""
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from decur.errors import ConfigError, DataError, check_choice, some
from decur.readers.bands import BandReader
from decur.readers.shard_cache import ShardCache, is_address
from decur.readers.shards import ShardError, close_shards, read_member
from decur.readers.table import LazySamples, Table

from .base import MISSING, MultimodalDataset
from .finding import file_names, split_folder
from .layouts import Layout, Part, train_command
from .shard_index import local_index, remote_index

#: Products of both releases, as their folders are called.
PRODUCTS = ('S1GRD', 'S1RTC', 'S2L1C', 'S2L2A', 'S2RGB', 'NDVI', 'DEM', 'LULC')
SPLITS = ('train', 'val')
#: What shards of a kind never have: TerraMesh's Sentinel-1 images are GRD at the locations of SSL4EO-S12 and RTC at the others.
NEVER = dict(majortom=('S1GRD', ), ssl4eos12=('S1RTC', ))
#: Values of the land-cover product (Impact Observatory's classes, numbered without gaps); 0 is no data.
LULC_VALUES = {0: None, 1: 'water', 2: 'trees', 3: 'flooded vegetation', 4: 'crops', 5: 'built area', 6: 'bare ground', 7: 'snow or ice',
               8: 'clouds', 9: 'rangeland'}


def shards_folder(root: str | Path, split: str | None) -> str:
    """The folder of the products, ``root`` or that of a split below it.

    Raises:
        ConfigError: If the split is not there, or must be chosen.
        DataError: If there are no products.
    """
    if is_address(root):
        return str(root).rstrip('/') + (f'/{split}' if split else '')
    found = split_folder(root, split, SPLITS, PRODUCTS, 'SSL4EO-S12 v1.1 or TerraMesh')
    if found is None:
        raise DataError(f'{root} has no folders of products ({", ".join(PRODUCTS)}), nor {" or ".join(SPLITS)} with such.')
    return str(found)


@DATASETS.register_module()
class ShardDataset(MultimodalDataset):
    """A sample is a location of SSL4EO-S12 v1.1 (four dates) or TerraMesh (one date), read out of the tar shards without extracting them.

    ``data_root`` is the folder of ``S1GRD``, ``S2L1C``, ... or, with ``split``, its parent; or an address of the same form
    (``hf://datasets/embed2scale/SSL4EO-S12-v1.1``, ``https://...``, ``s3://...``), whose shards are kept in a cache of bounded size. A
    modality's entry names its product, ``files=dict(product='S2L1C')``, and reads with ``reader=dict(type='BandReader', bands=...,
    size=264)``. :class:`~decur.transforms.DrawSeasons` chooses among the dates.

    The first start reads the headers of all shards and keeps their index in ``decur_shards_<product>.safetensors`` beside them; later ones
    compare sizes and times. TerraMesh has S1RTC or S1GRD at a location: the other is absent there (``data_sample.present``), which is no
    error.

    Args:
        modalities (dict[str, dict]): Entries.
        data_root (str): Folder or address.
        split (str, optional): ``'train'`` or ``'val'``, the folder below ``data_root``.
        label (str, optional): A product whose first date is the label map: ``'LULC'``, with the classes of :data:`LULC_VALUES`. Defaults to
            none.
        missing (str): What to do with a sample that lacks a product which its shard should have: ``'error'``, ``'skip'`` (counted and
            listed) or ``'keep'`` (absent).
        damaged (str): What to do with a shard or a member that is damaged, or out of reach after all attempts: ``'error'``, or ``'skip'``:
            shards are left out when the index is made, and with ``missing='error'`` their samples of the other products with them; in
            place of a sample that cannot be read later the next one that can is given, and the log says so.
        shards (str, optional): Names of the shards to use, ``'ssl4eos12_shard_{000001..000010}.tar'``. Defaults to all.
        index_folder (str, optional): Where indices are kept. Defaults to beside the shards (of an address: in the cache).
        cache_folder (str, optional): Of an address. Defaults to ``~/.cache/decur/shards``.
        cache_size (float): Of an address, GiB. Defaults to 64.
        timeout, attempts, wait, storage_options: Of an address, see :class:`~decur.readers.shard_cache.ShardCache`.
        **kwargs: As :class:`MultimodalDataset`; ``fraction`` and ``num_samples`` draw locations without replacement.

    Raises:
        ShardError: If a shard is damaged, missing or out of reach.
        DataError: If products hold other samples in shards of one name.
        ConfigError: If an option is not valid.
    """

    METAINFO = dict(classes=(), palette=None)

    def __init__(self, modalities: Mapping, data_root: str = '', split: str | None = None, label: str | None = None, missing: str = 'error',
                 damaged: str = 'error', shards: str | None = None, index_folder: str | None = None, cache_folder: str | None = None,
                 cache_size: float = 64., timeout: float = 60., attempts: int = 5, wait: float = 1.,
                 storage_options: Mapping | None = None, label_values: Mapping | None = None, **kwargs):
        if not cache_size > 0 or attempts < 1:
            raise ConfigError(f'cache_size must be above 0 GiB and attempts at least 1, got {cache_size!r} and {attempts!r}.')
        self.split, self.label = split, check_choice('label', label, (None, *PRODUCTS))
        self.missing, self.damaged = check_choice('missing', missing, MISSING), check_choice('damaged', damaged, ('error', 'skip'))
        self.shards, self.index_folder = shards, index_folder
        self.cache = ShardCache(str(Path(cache_folder or '~/.cache/decur/shards').expanduser()), int(cache_size * 2**30), timeout, attempts,
                                wait, dict(storage_options or {})) if is_address(data_root) else None
        #: Samples that were left out, with the products they lack.
        self.skipped: dict = {}
        self._unreadable: set = set()
        if label == 'LULC' and label_values is None:
            label_values = LULC_VALUES
        super().__init__(modalities=modalities, data_root=data_root, label_values=label_values, label_options=dict(label=label), **kwargs)

    @classmethod
    def own_labels(cls, label: str | None = None) -> tuple:
        """The classes of the land-cover product, where it is the label."""
        return (tuple(name for name in LULC_VALUES.values() if name), None) if label == 'LULC' else ((), None)

    @classmethod
    def recognise(cls, root: Path) -> Layout | None:
        """Folders of products with tar shards, of one split or of both."""
        folders = {f'{split}/{product}' if split else product: root / split / product for split in ('', *SPLITS) for product in PRODUCTS}
        found = {name: folder for name, folder in folders.items() if folder.is_dir() and next(folder.glob('*_shard_*.tar'), None)}
        if not found:
            return None
        mesh = any(folder.name == 'S1RTC' or next(folder.glob('majortom_*.tar'), None) for folder in found.values())
        config = 'terramesh_s1-s2-dem_r50_decur.py' if mesh else 'ssl4eo-v11-shards_s1-s2_r50_decur.py'
        options = {} if any('/' not in name for name in found) else dict(split=next(iter(found)).partition('/')[0])
        title = 'TerraMesh (tar shards)' if mesh else 'SSL4EO-S12 v1.1 (tar shards)'
        return Layout('terramesh' if mesh else 'ssl4eo-v1.1-shards', title, train_command(f'configs/decur/{config}', **options),
                      partial(_parts, found))

    def _join_prefix(self) -> None:
        """MMEngine's, which takes no addresses."""
        if self.cache is None:
            super()._join_prefix()

    def _index(self, folder: str, product: str) -> Table:
        if self.cache is not None:
            return remote_index(f'{folder}/{product}', self.cache, self.shards, self.damaged)
        return local_index(Path(folder, product), self.shards, self.damaged, self.index_folder)

    def load_data_list(self) -> LazySamples:
        """Find the samples of all products in the indices."""
        if self.cache is None:
            self.existing_root()
        folder, products = shards_folder(self.data_root, self.split), self.chosen_files('product', PRODUCTS)
        wanted = dict.fromkeys([*products.values(), *([self.label] if self.label else [])])
        tables = {product: self._index(folder, product) for product in wanted}
        close_shards()
        keys, shards, rows = _join(tables)
        names = np.unique(np.concatenate([table.attributes['files'] for table in tables.values()]))
        present, left_out = {}, np.zeros(len(names), bool)
        for product, row in rows.items():
            never = np.array([product in NEVER.get(name.partition('_shard')[0], ()) for name in names.tolist()])
            present[product] = (row >= 0) | never[shards]
            left_out |= ~np.isin(names, tables[product].attributes['files']) & ~never
        use = np.ones(len(keys), bool)
        if self.damaged == 'skip' and self.missing == 'error' and left_out.any():
            # A shard that is left out of one product leaves its samples without it.
            use = ~left_out[shards]
            print_log(f'{type(self).__name__}: left out {np.count_nonzero(~use)} of {len(use)} samples, for a product lacks their shard '
                      f'(damaged="skip"): {some(names[left_out].tolist(), 5)}', logger='current', level=30)
        keys, shards, rows = keys[use], shards[use], {product: row[use] for product, row in rows.items()}
        kept = np.flatnonzero(self.complete(keys, {product: has[use] for product, has in present.items()}, 'sample {sample!r} of {shard} '
                                            'is not in {lacking}, whose shard of that name should have it,', shard=names[shards]))
        present = np.any([rows[product][kept] >= 0 for product in products.values()], axis=0)
        if self.label:
            present &= rows[self.label][kept] >= 0
        kept = kept[present]
        #: Shard of every sample, by row; the sampler keeps together what lies together.
        self._shard_of_row = shards[kept]
        self._keys, self._rows = keys[kept], {product: row[kept] for product, row in rows.items()}
        self._folder, self._tables, self._product_of = folder, tables, products
        self.serialize_data = False  # the arrays are shared by the workers as they are
        return LazySamples(self._sample, np.arange(len(kept)))

    @property
    def shard_of_sample(self) -> np.ndarray:
        """``(N,)`` the number of the shard of every sample; samples are in the order of the shards."""
        return self._shard_of_row[self.data_list.rows]

    def shard_bytes(self) -> np.ndarray:
        """Bytes of the shards of one number over all products that are read; 0 for a number that no sample has."""
        names = np.unique(np.concatenate([table.attributes['files'] for table in self._tables.values()])).tolist()
        sizes = [dict(zip(table.attributes['files'], table.attributes['stamps'])) for table in self._tables.values()]
        return np.array([sum(found[name][0] for found in sizes if name in found) for name in names], np.int64)

    def fetch_shards(self, numbers) -> None:
        """Have the shards of these numbers in the cache; nothing to do for a folder. Failures are left to whoever reads the samples."""
        if self.cache is None:
            return
        names = np.unique(np.concatenate([table.attributes['files'] for table in self._tables.values()])).tolist()
        for number in numbers:
            for product, table in self._tables.items():
                found = dict(zip(table.attributes['files'], table.attributes['stamps'])).get(names[number])
                if found is not None:
                    try:
                        self.cache.fetch(f'{self._folder}/{product}/{names[number]}', found[0])
                    except (DataError, ConfigError) as error:
                        print_log(f'not fetched ahead: {error}', logger='current')

    def _sources(self, product: str, index: int) -> list:
        """Sources of the dates of a sample; none where it is absent."""
        table, row = self._tables[product], int(self._rows[product][index])
        if row < 0:
            return []
        shard = int(table['shard'][row])
        source = dict(tar=f'{self._folder}/{product}/{table.attributes["files"][shard]}', key=self._keys[index].decode(),
                      offset=int(table['offset'][row]), size=int(table['size'][row]), dates=table.attributes['dates'][shard])
        if self.cache is not None:
            source.update(cache=self.cache, bytes=table.attributes['stamps'][shard][0])
        return [dict(source, time=time) for time in range(source['dates'])]

    def _sample(self, index: int) -> dict:
        seasons = {name: self._sources(product, index) for name, product in self._product_of.items()}
        sample = dict(sample_id=self._keys[index].decode(), seasons=seasons,
                      sources={name: dates[0] if dates else None for name, dates in seasons.items()})
        if self.label:
            sample['seg_source'] = self._sources(self.label, index)[0]
        return sample

    def prepare_data(self, idx: int):
        """As :class:`MultimodalDataset`; with ``damaged='skip'`` the next sample that can be read takes the place of one that cannot."""
        if self.damaged == 'error':
            return super().prepare_data(idx)
        epoch, index = divmod(idx, len(self))
        for i in range(len(self)):
            other = (index + i) % len(self)
            sources = [dates[0] for dates in self.data_list[other]['seasons'].values() if dates]
            if any(source['tar'] in self._unreadable or (source['tar'], source['key']) in self._unreadable for source in sources):
                continue
            try:
                return super().prepare_data(epoch * len(self) + other)
            except ShardError as error:
                self._unreadable |= {error.shard} if error.shard else {(source['tar'], source['key']) for source in sources}
                print_log(f'{error} Another sample takes its place (damaged="skip").', logger='current', level=30)
        raise DataError(f'no sample under {self.data_root} can be read.')


def _join(tables: Mapping) -> tuple:
    """Samples over products, in the order of the shards.

    Returns:
        tuple[ndarray, ndarray, dict]: Keys ``(N,)`` bytes; the number of the shard of each, among the sorted names of all; and by product
        the row of each, -1 where it has none.

    Raises:
        DataError: If a sample is in shards of different names.
    """
    names = np.unique(np.concatenate([table.attributes['files'] for table in tables.values()]))
    numbers = {product: np.searchsorted(names, table.attributes['files'])[table['shard']] for product, table in tables.items()}
    first = next(iter(tables))
    if all(np.array_equal(table['key'], tables[first]['key']) and np.array_equal(numbers[product], numbers[first])
           for product, table in tables.items()):  # as released
        order = np.lexsort((tables[first]['offset'], numbers[first]))
        return tables[first]['key'][order], numbers[first][order], dict.fromkeys(tables, order)
    keys = np.unique(np.concatenate([table['key'] for table in tables.values()]))
    shards, rows = np.full(len(keys), -1), {}
    for product, table in tables.items():
        where = np.searchsorted(keys, table['key'])
        rows[product] = np.full(len(keys), -1)
        rows[product][where] = np.arange(len(table))
        wrong = (shards[where] >= 0) & (shards[where] != numbers[product])
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            raise DataError(f'sample {table["key"][i].decode()!r} is in {names[numbers[product][i]]} of {product} and in '
                            f'{names[shards[where[i]]]} of another product: shards of one name must hold the same samples. Are they of '
                            'two releases?')
        shards[where] = numbers[product]
    order = np.argsort(shards, kind='stable')  # the keys of a shard by name
    return keys[order], shards[order], {product: row[order] for product, row in rows.items()}


def _parts(folders: Mapping) -> dict:
    """What inspection looks at: the first date of a sample."""
    tables = {name: local_index(folder, save=False) for name, folder in folders.items()
              if any(file.endswith('.tar') for file in file_names(folder))}
    # A product should have the samples that the others of its split have, in shards of a kind that it is in.
    kinds: dict = {}
    for name, table in tables.items():
        prefixes = [file.partition('_shard')[0] for file in table.attributes['files']]
        for key, shard in zip(table['key'].tolist(), table['shard'].tolist()):
            kinds.setdefault(folders[name].parent, {}).setdefault(prefixes[shard], set()).add(key.decode())
    parts = {}
    for name, table in tables.items():
        folder = folders[name]
        expected = set().union(*(keys for kind, keys in kinds[folder.parent].items() if folder.name not in NEVER.get(kind, ())))
        source = partial(_first_date, str(folder), table)
        bands = tuple(read_member(source(0)))
        rows = {key.decode(): row for row, key in enumerate(table['key'].tolist())}
        parts[name] = Part(bands, list(rows), lambda key, source=source, rows=rows: source(rows[key]), BandReader(bands, 1),
                           dict(product=folder.name), expected)
    return parts


def _first_date(folder: str, table: Table, row: int) -> dict:
    shard = int(table['shard'][row])
    return dict(tar=f'{folder}/{table.attributes["files"][shard]}', key=table['key'][row].decode(), offset=int(table['offset'][row]),
                size=int(table['size'][row]), dates=table.attributes['dates'][shard], time=0)
