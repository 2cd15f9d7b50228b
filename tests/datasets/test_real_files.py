"""Every real sample file through the data set classes, against reading it with rasterio alone."""
import shutil

import cv2
import numpy as np
import pytest
import rasterio

from decur.datasets import BigEarthNetDataset, PairedRasterDataset, SSL4EODataset
from decur.readers.bands import BandReader
from decur.sensors import BIGEARTHNET_BANDS, S1_BANDS, SSL4EO_BANDS


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def check_bands(reader, source, file_of, size):
    """All bands of a source against their files, as they are stored and resized; returns the files."""
    image, native = reader(source), reader.native(source)
    files = []
    for i, band in enumerate(reader.bands):
        files.append(file_of(band))
        raw = read(files[-1])[0]
        assert native[band].dtype == raw.dtype and np.array_equal(native[band], raw), files[-1]
        resized = raw if raw.shape == (size, size) else cv2.resize(raw, (size, size), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(image[..., i], resized), files[-1]
    return files


@pytest.fixture(scope='module')
def stores(sample_data, tmp_path_factory):
    """Compact stores of the same files."""
    pytest.importorskip('lmdb')
    from decur.prepare import bigearthnet, ssl4eo
    root = tmp_path_factory.mktemp('stores')
    ssl4eo.prepare(sample_data / 'ssl4eo_s12_v1', root / 'ssl4eo', products=['s1', 's2a', 's2c'])
    bigearthnet.prepare(sample_data / 'bigearthnet_v1', root / 'bigearthnet')
    return root


@pytest.mark.parametrize('stored', [False, True])
def test_ssl4eo(sample_data, stores, stored):
    root, seen = sample_data / 'ssl4eo_s12_v1', []
    entries = {product: dict(channels=len(bands), files=dict(product=product)) for product, bands in SSL4EO_BANDS.items()}
    for sample in SSL4EODataset(entries, str(stores / 'ssl4eo' if stored else root), pipeline=[]):
        for product, seasons in sample['seasons'].items():
            reader = BandReader(SSL4EO_BANDS[product], 264)
            for source in seasons:
                scene = root / product / sample['sample_id'] / (source['key'] if stored else source['folder']).rsplit('/', 1)[1]
                seen += check_bands(reader, source, lambda band, scene=scene: scene / f'{band}.tif', 264)
    assert sorted(seen) == sorted(root.rglob('*.tif')) and len(seen) == 2 * (2 + 12 + 13)


def bigearthnet(root, **kwargs):
    entries = {name: dict(channels=len(bands), files=dict(sensor=name), reader=dict(type='BandReader', bands=bands, size=120))
               for name, bands in (('s1', S1_BANDS), ('s2', BIGEARTHNET_BANDS['s2']))}
    return BigEarthNetDataset(entries, str(root), pipeline=[], **kwargs)


def check_patches(dataset, root, name_of):
    seen = []
    folders = {path.name: path for path in root.rglob('S[12]*') if path.is_dir()}
    for sample in dataset:
        for sensor, source in sample['sources'].items():
            folder = folders[name_of(source)]
            reader = BandReader(S1_BANDS if sensor == 's1' else BIGEARTHNET_BANDS['s2'], 120)
            seen += check_bands(reader, source, lambda band, folder=folder: folder / f'{folder.name}_{band}.tif', 120)
    return sorted(seen)


@pytest.mark.parametrize('stored', [False, True])
def test_bigearthnet_v1(sample_data, stores, tmp_path, stored):
    root = sample_data / 'bigearthnet_v1'
    dataset = bigearthnet(stores / 'bigearthnet' if stored else root, num_classes=43, index_file=str(tmp_path / 'index'))
    seen = check_patches(dataset, root, lambda source: source['key'].split('/')[1] if stored else source['folder'].rsplit('/', 1)[1])
    assert seen == sorted(root.rglob('*.tif')) and len(seen) == 6 * (2 + 12)


def test_bigearthnet_v2(sample_data, tmp_path):
    pandas = pytest.importorskip('pandas')
    pytest.importorskip('pyarrow')
    root = tmp_path / 'v2'
    shutil.copytree(sample_data / 'bigearthnet_v2', root)
    s2, s1 = (next((root / f'BigEarthNet-{sensor}').glob('*/*')).name for sensor in ('S2', 'S1'))
    pandas.DataFrame([dict(patch_id=s2, labels=['Pastures'], split='train', s1_name=s1)]).to_parquet(root / 'metadata.parquet')
    seen = check_patches(bigearthnet(root), root, lambda source: source['folder'].rsplit('/', 1)[1])
    assert seen == sorted(path for path in root.rglob('*.tif') if 'Reference_Maps' not in path.parts) and len(seen) == 2 + 12


def test_sites(sample_data):
    root, seen = sample_data / 'sites_s1_s2_dem', []
    first = {folder.name: read(next(folder.glob('*.tif'))) for folder in root.iterdir() if folder.is_dir()}
    entries = {name: dict(channels=len(image), files=dict(folder=name, suffix='.tif')) for name, image in first.items()}
    for sample in PairedRasterDataset(entries, data_root=str(root), pipeline=[dict(type='LoadModalities')]):
        for name, image in sample['images'].items():
            path = root / name / f'{sample["sample_id"]}.tif'
            raw = read(path).transpose(1, 2, 0)
            assert image.dtype == (np.float32 if raw.dtype == np.float64 else raw.dtype) and np.array_equal(image, raw.astype(image.dtype))
            seen.append(path)
    assert sorted(seen) == sorted(root.rglob('*.tif')) and len(seen) == 25
