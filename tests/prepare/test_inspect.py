"""Inspecting real and generated data: layout, bands, statistics, offset, gaps, unreadable files, the line to use it."""
import shutil

import numpy as np
import pytest
import rasterio
from helpers import run_tool, write_pairs, write_tif

from decur.datasets import PairedRasterDataset
from decur.errors import ConfigError, DataError
from decur.prepare.inspect import detect_layout, fit_statistics, inspect, report
from decur.sensors import S2C_BANDS, STATISTICS
from decur_worlds.landcover_layouts import write_landcover


def test_generated_layouts(tmp_path):
    for layout, expected in (('ssl4eo', 'ssl4eo-v1.0'), ('bigearthnet', 'bigearthnet-v1'), ('geonrw', 'geonrw')):
        write_landcover(layout, tmp_path / layout, 3, size=48)
        found = inspect(tmp_path / layout, count=2)
        assert found['layout'] == expected and not found['gaps'] and str(tmp_path / layout) in report(found).splitlines()[-1]
        assert all(m['samples'] == 3 and not m['unreadable'] for m in found['modalities'].values())
        assert set(found['pictures'][0]) == set(found['modalities']) and found['pictures'][0].popitem()[1].shape == (160, 160, 3)
        if layout == 'ssl4eo':
            assert found['modalities']['s2c']['offset'] == 0 and found['modalities']['s2c']['sizes'] == [(8, 8), (24, 24), (48, 48)]


def test_gaps_and_damage_are_named(tmp_path):
    write_landcover('ssl4eo', tmp_path, 3, size=24)
    shutil.rmtree(tmp_path / 's1' / '0000207')
    victim = next((tmp_path / 's2a' / '0000200').glob('*/B4.tif'))
    for path in (tmp_path / 's2a' / '0000200').glob('*/B4.tif'):
        path.write_bytes(victim.read_bytes()[:200])
    found = inspect(tmp_path)
    assert found['gaps'] == {'s1': ['0000207']} and 'B4.tif' in found['modalities']['s2a']['unreadable']['0000200']
    assert 'lack s1: 0000207' in report(found)


def test_store_and_published_lmdb(tmp_path):
    lmdb = pytest.importorskip('lmdb')
    write_landcover('ssl4eo', tmp_path / 'raw', 2, size=24)
    run_tool('tools/prepare_dataset.py', 'ssl4eo', tmp_path / 'raw', tmp_path / 'store', '--products', 's1', 's2c')
    raw, store = inspect(tmp_path / 'raw'), inspect(tmp_path / 'store')
    assert store['layout'] == raw['layout'] and store['stored'] and 'ssl4eo' in store['title'] and set(store['modalities']) == {'s1', 's2c'}
    assert store['config'] == raw['config'].replace(str(tmp_path / 'raw'), str(tmp_path / 'store'))
    for name, found in store['modalities'].items():
        band = 'VV' if name == 's1' else 'B8'
        assert found['values'][band] == pytest.approx(raw['modalities'][name]['values'][band])
    environment = lmdb.open(str(tmp_path / 'old'), map_size=1 << 20)
    with environment.begin(write=True) as transaction:
        transaction.put(b'0', b'cos\nsystem\n')
    environment.close()
    (tmp_path / 'file.lmdb').write_bytes(b'')
    for name in ('old', 'file.lmdb'):
        with pytest.raises(DataError, match='pickles.*prepare_dataset.py'):
            inspect(tmp_path / name)


@pytest.mark.parametrize('layout', ['bigearthnet', 'bigearthnet-v2', 'geonrw'])
def test_stores_look_like_the_files(tmp_path, layout):
    pytest.importorskip('lmdb')
    write_landcover(layout, tmp_path / 'raw', 2, size=48)
    run_tool('tools/prepare_dataset.py', layout.split('-')[0], tmp_path / 'raw', tmp_path / 'store')
    raw, store = inspect(tmp_path / 'raw'), inspect(tmp_path / 'store')
    assert store['layout'] == raw['layout'] and store['stored'] and not store['gaps'] and set(store['modalities']) == set(raw['modalities'])
    for name, found in store['modalities'].items():
        assert {key: found[key] for key in ('bands', 'samples', 'sizes', 'dtypes')} == {
            key: raw['modalities'][name][key] for key in ('bands', 'samples', 'sizes', 'dtypes')}
        for band, values in found['values'].items():
            assert values == pytest.approx(raw['modalities'][name]['values'][band])


def test_paired_folders_and_offset(tmp_path):
    write_pairs(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(4):
        image = np.clip(rng.normal(STATISTICS['ssl4eo_s2c'].mean, 50, (20, 20, 13)), 0, None) + 1000 * (i < 1)
        write_tif(tmp_path / 's2' / f'{"abcd"[i]}.tif', image.astype(np.uint16))
    found = inspect(tmp_path)
    assert found['layout'] == 'paired' and found['modalities']['s2']['offset'] == .25
    name, distance = found['modalities']['s2']['statistics'][0]
    assert name == 'ssl4eo_s2c' and distance < .2
    assert "s1=dict(channels=2, files=dict(folder='s1', suffix='.tif'))" in found['config'] and 'RemoveOffset' in report(found)


def test_other_layouts_by_their_names(tmp_path):
    for name, layout in (('a/SUNRGBD', 'sunrgbd-release'), ('b/nyu_depth_v2_labeled.mat', 'nyudv2-release'),
                         ('c/BigEarthNet-S2', 'bigearthnet-v2'), ('d/img_dir', 'geonrw-tiles'),
                         ('e/val/S2L1C/ssl4eos12_val_seasonal_data_000001.zarr.zip', 'ssl4eo-v1.1')):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).mkdir() if '.' not in name else (tmp_path / name).write_bytes(b'')
        assert detect_layout(tmp_path / name.split('/')[0]).name == layout
    found = inspect(tmp_path / 'b')
    assert not found['modalities'] and found['config'] == f'python tools/prepare_dataset.py nyudv2 {tmp_path / "b"} data/nyudv2'
    with pytest.raises(DataError, match='nothing that is known'):
        (tmp_path / 'f' / 'notes').mkdir(parents=True)
        inspect(tmp_path / 'f')
    with pytest.raises(DataError, match='does not exist'):
        inspect(tmp_path / 'none')
    with pytest.raises(ConfigError, match='count'):
        inspect(tmp_path, count=0)
    assert fit_statistics(('VV', 'VH'), STATISTICS['bigearthnet_s1'].mean)[0] == ('bigearthnet_s1', 0)


def test_real_files_by_the_command(sample_data, tmp_path):
    expected = dict(ssl4eo_s12_v1='SSL4EO-S12 v1.0', bigearthnet_v1='BigEarthNet-MM v1', bigearthnet_v2='reBEN',
                    sites_s1_s2_dem='folder per modality')
    for folder, title in expected.items():
        done = run_tool('tools/inspect_dataset.py', sample_data / folder, '--out', tmp_path / f'{folder}.png', '--count', 5)
        lines = done.stdout.strip().splitlines()
        assert title in lines[0] and lines[-1].startswith('use: ') and (tmp_path / f'{folder}.png').stat().st_size > 10000
        assert 'unreadable' not in done.stdout
    # Three of the five sites carry the offset.
    assert 'in 60 % of them' in done.stdout
    bad = run_tool('tools/inspect_dataset.py', tmp_path / 'none', check=False)
    assert bad.returncode and 'Traceback' not in bad.stderr


def test_what_is_missing_in_a_sheet_is_not_black():
    from decur.visualization.images import placeholder
    picture = placeholder('missing')
    assert picture.shape == (160, 160, 3) and picture.min() > 60 and len(np.unique(picture)) > 2


def test_an_unknown_layout_is_told_without_placeholders(tmp_path):
    with pytest.raises(DataError, match='nothing that is known') as error:
        detect_layout(tmp_path)
    assert '{' not in str(error.value)


def rasters(root, shapes):
    """``{path: (bands, dtype)}`` as files of 8 pixels a side."""
    rng = np.random.default_rng(0)
    for name, (bands, dtype) in shapes.items():
        write_tif(root / name, rng.integers(1, 200, (8, 8, bands)).astype(dtype))
    return root


@pytest.mark.parametrize('odd', [(3, 'uint16'), (1, 'uint16'), (14, 'uint16')])
@pytest.mark.parametrize('place', ['a', 'c', 'e'])
def test_a_file_with_other_bands_is_named(tmp_path, odd, place):
    """More or fewer, at the beginning, in the middle or at the end."""
    shapes = {f'{folder}/{name}.tif': (bands, 'uint16') for folder, bands in (('s1', 2), ('s2', 13)) for name in 'abcde'}
    found = inspect(rasters(tmp_path, {**shapes, f's2/{place}.tif': odd}))
    assert list(found['modalities']['s2']['unreadable']) == [place] and len(found['modalities']['s2']['bands']) == 13
    assert f'{odd[0]} bands' in found['modalities']['s2']['unreadable'][place]
    text = report(found)
    assert 'damage: 1 of the samples' in text and 'every sample has every modality' not in text


@pytest.mark.parametrize('twin', ['b.TIFF', 'b.tiff', 'b.jp2'])
def test_two_files_of_one_id_are_named(tmp_path, twin):
    """A data set refuses them."""
    found = inspect(rasters(tmp_path, {f's1/{name}': (2, 'uint16') for name in ('a.tif', 'b.tif', 'c.tif', twin)}))
    part = found['modalities']['s1']
    assert part['samples'] == 3 and list(part['unreadable']) == ['b']
    assert twin in part['unreadable']['b'] and 'are both the file of' in part['unreadable']['b'] and 'damage: 1' in report(found)


def test_damaged_files_anywhere_are_listed(tmp_path):
    root = rasters(tmp_path, {f'{folder}/{name}.tif': (2, 'float32') for folder in ('s1', 's2') for name in 'abc'})
    (root / 's1' / 'a.tif').write_bytes(b'not a tiff')
    (root / 's2' / 'c.tif').write_bytes((root / 's2' / 'c.tif').read_bytes()[:300])
    (root / 's2' / 'b.tif').write_bytes(b'')
    found = inspect(root)
    assert list(found['modalities']['s1']['unreadable']) == ['a'] and list(found['modalities']['s2']['unreadable']) == ['b', 'c']
    assert 'damage: 3 of the samples' in report(found)
    for path in root.glob('s2/*'):
        path.write_bytes(b'')
    text = report(inspect(root))
    assert 's2: 3 samples, none of which can be read' in text and "s1=dict(channels=2" in text and 's2=dict' not in text


def test_what_is_not_a_number_and_what_is_missing_are_counted(tmp_path):
    values = np.ones((8, 8, 2), np.float32)
    values[:2, :, 0] = np.nan
    values[..., 1] = np.inf
    write_tif(tmp_path / 'dem' / 'a.tif', values)
    found = inspect(tmp_path)
    first, second = found['modalities']['dem']['values'].values()
    assert (first['mean'], first['std'], first['not_finite'], second['not_finite']) == (1, 0, 16, 64) and np.isnan(second['mean'])
    assert '16 not finite' in report(found) and 'no numbers  64 not finite' in report(found)
    assert found['pictures'][0]['dem'].shape == (160, 160, 3)


def test_the_line_to_use_the_data_says_every_suffix_and_sub_folders(tmp_path):
    rasters(tmp_path, {'s1/north/a.TIF': (2, 'float32'), 's1/b.tiff': (2, 'float32'), 'dem/b.tif': (1, 'float32')})
    (tmp_path / 'dem' / 'north').mkdir()
    (tmp_path / 'dem' / 'north' / 'a.TIFF').write_bytes((tmp_path / 'dem' / 'b.tif').read_bytes())
    (tmp_path / 's1' / '._b.tiff').write_bytes(b'AppleDouble')
    found = inspect(tmp_path)
    assert not found['gaps'] and {m['samples'] for m in found['modalities'].values()} == {2}
    entries = found['config'].split('modalities=')[1][:-1]
    dataset = PairedRasterDataset(eval(entries, dict(dict=dict)), str(tmp_path), pipeline=[dict(type='LoadModalities')])
    assert [sample['sample_id'] for sample in dataset] == ['b', 'north/a']


def test_how_many_were_looked_at_is_said(tmp_path):
    found = inspect(rasters(tmp_path, {f's1/{i}.tif': (2, 'uint8') for i in range(5)}), count=2)
    assert 's1: 5 samples (2 looked at), 2 bands' in report(found)


def describe(path, names):
    with rasterio.open(path, 'r+') as file:
        file.descriptions = names


def test_bands_are_called_as_the_files_call_them(tmp_path):
    rasters(tmp_path, {f'{folder}/{name}.tif': (bands, 'float32') for folder, bands in (('s1', 2), ('s2', 13)) for name in 'abc'})
    for name in 'abc':
        describe(tmp_path / 's1' / f'{name}.tif', ('VH', 'VV'))
    found = inspect(tmp_path)
    assert found['modalities']['s1']['bands'] == ['VH', 'VV'] and found['modalities']['s2']['bands'] == list(S2C_BANDS)
    assert '2 bands in the order VH VV' in report(found) and "s1=dict(channels=2, bands=('VH', 'VV'), files=" in found['config']
    describe(tmp_path / 's1' / 'b.tif', ('vv', 'vh'))
    unreadable = inspect(tmp_path)['modalities']['s1']['unreadable']
    assert list(unreadable) == ['b'] and "('vv', 'vh')" in unreadable['b']


@pytest.mark.parametrize('names', [('VV', 'VV'), ('VV', None), (None, None)])
def test_bands_without_names_of_their_own_are_numbered(tmp_path, names):
    rasters(tmp_path, {'s1/a.tif': (2, 'float32')})
    describe(tmp_path / 's1' / 'a.tif', names)
    assert inspect(tmp_path)['modalities']['s1']['bands'] == ['1', '2']


def test_the_command_ends_with_one_line_before_it_reads(tmp_path):
    rasters(tmp_path, {'s1/a.tif': (2, 'float32')})
    (tmp_path / 'sheets.png').mkdir()
    done = run_tool('tools/inspect_dataset.py', tmp_path, '--out', tmp_path / 'sheets.png', check=False)
    assert done.returncode == 1 and done.stdout == '' and 'sheets.png is a folder' in done.stderr and 'Traceback' not in done.stderr
