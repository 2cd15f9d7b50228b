"""Every data set recognises its own folders and stores, and lists in them what it lists itself."""
import numpy as np
import pytest
from helpers import write_pairs, write_tif
from PIL import Image

from decur.datasets import BigEarthNetDataset, GeoNRWDataset, PairedRasterDataset, SSL4EODataset, recognise
from decur.prepare import bigearthnet, geonrw, ssl4eo
from decur_worlds.landcover_layouts import write_landcover

MADE = {
    'ssl4eo': ('ssl4eo-v1.0', SSL4EODataset, ssl4eo), 'bigearthnet': ('bigearthnet-v1', BigEarthNetDataset, bigearthnet),
    'bigearthnet-v2': ('bigearthnet-v2', BigEarthNetDataset, bigearthnet), 'geonrw': ('geonrw', GeoNRWDataset, geonrw)
}


@pytest.mark.parametrize('world', MADE)
def test_a_release_and_its_store_are_recognised_and_read_alike(tmp_path, world):
    pytest.importorskip('lmdb')
    name, dataset, preparation = MADE[world]
    write_landcover(world, tmp_path / 'raw', 3, size=48)
    raw = recognise(tmp_path / 'raw')
    assert (raw.name, raw.stored, raw.has_offset) == (name, False, False) and dataset.recognise(tmp_path / 'raw').title == raw.title
    command = raw.command.format(root='HERE')
    assert command.startswith('python tools/train.py configs/') and 'data_root=HERE' in command
    parts = raw.parts()
    options = dict(products=sorted(parts)) if world == 'ssl4eo' else {}
    preparation.prepare(tmp_path / 'raw', tmp_path / 'store', **options)
    stored = recognise(tmp_path / 'store')
    assert (stored.name, stored.stored, stored.command) == (name, True, raw.command)
    others = stored.parts()
    assert set(parts) == set(others) and len(parts) >= 2
    for modality, part in parts.items():
        other = others[modality]
        assert sorted(part.ids) == sorted(other.ids) and len(part.ids) == 3 and (part.bands, part.files) == (other.bands, other.files)
        for sample in part.ids:
            bands, same = part.read(sample), other.read(sample)
            assert list(bands) == list(same) == list(part.bands)
            assert all(plane.ndim == 2 and np.array_equal(plane, same[band]) for band, plane in bands.items())
    # What a part says of its files is what the data set's entries take.
    entries = {m: dict(channels=len(p.bands), files=p.files) for m, p in parts.items() if m != 'seg'}
    options = dict(split='train', tile=None) if world == 'geonrw' else {}
    seen = dataset(entries, str(tmp_path / 'raw'), pipeline=[], **options)
    assert sorted(s['sample_id'] for s in seen) == sorted(parts[next(iter(entries))].ids)


def test_folders_of_rasters_are_the_last_guess(tmp_path):
    write_pairs(tmp_path / 'plain')
    layout = recognise(tmp_path / 'plain')
    parts = layout.parts()
    assert layout.name == 'paired' and {name: len(part.bands) for name, part in parts.items()} == dict(label=1, rgb=3, s1=2, s2=13)
    assert parts['s2'].bands[10] == 'B10' and parts['s1'].files == dict(folder='s1', suffix='.tif')
    for name in ('site1/a.tif', 'site2/b.TIFF', '._c.tif', 'site2/.d.tif'):
        write_tif(tmp_path / 'sites' / 's1' / name, np.zeros((4, 4, 2), np.float32))
    part = recognise(tmp_path / 'sites').parts()['s1']
    assert part.ids == ['site1/a', 'site2/b'] and part.files == dict(folder='s1', suffix=('.tif', '.tiff'))
    seen = PairedRasterDataset(dict(s1=dict(channels=2, files=part.files)), data_root=str(tmp_path / 'sites'), pipeline=[])
    assert [s['sample_id'] for s in seen] == part.ids
    (tmp_path / 'nothing' / 'notes').mkdir(parents=True)
    (tmp_path / 'nothing' / 'notes' / 'a.txt').write_text('x')
    assert recognise(tmp_path / 'nothing') is None


def test_a_folder_of_mixed_files_is_listed_and_the_odd_one_is_named(tmp_path):
    from decur.errors import DataError
    rng = np.random.default_rng(0)
    for name, shape in (('a', (4, 4)), ('b', (4, 4, 3)), ('c', (4, 4, 3)), ('d', (4, 4, 4))):
        (tmp_path / 'rgb').mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(tmp_path / 'rgb' / f'{name}.png')
    (tmp_path / 'rgb' / '0.png').write_bytes(b'not a picture')
    part = recognise(tmp_path).parts()['rgb']
    assert part.ids == ['0', 'a', 'b', 'c', 'd'] and part.bands == ('1', '2', '3') and set(part.read('c')) == {'1', '2', '3'}
    for name, says in (('a', '1 bands'), ('d', '4 bands'), ('0', 'cannot be read')):
        with pytest.raises(DataError, match=f'{name}.png.*{says}'):
            part.read(name)
