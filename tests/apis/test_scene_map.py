"""Maps of whole scenes: what whole-image inference gives, wherever the windows lie; stopped runs; what stands in the file."""
import os
import signal
import subprocess
import sys
import time
import warnings
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import rasterio
import torch
from helpers import ROOT, run_tool
from mmseg.structures import SegDataSample
from scene_files import CLASSES, NORTH, PALETTE, REACH, WEST, checkpoint, config, pair, write_scene

from decur.apis import SegmentationInferencer
from decur.apis.scene_map import map_scene
from decur.errors import ConfigError, DataError
from decur.scenes.windows import starts
from decur.weights.convert import build_model


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scene_map')
    # cfg.dump would sort the modalities, and with them the channels.
    (folder / 'config.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in config().to_dict().items()))
    return folder / 'config.py', checkpoint(folder / 'model.pth')


@pytest.fixture(scope='module')
def segment(weights):
    return SegmentationInferencer(config(), weights[1])


def whole_image(segment, sources):
    """Probabilities of the scene as one image, and where it is missing."""
    gone = np.zeros((96, 160), bool)
    gone[:10, :20] = gone[50:53] = True
    return segment(sources, scores=True), gone


@pytest.mark.parametrize('window', [160, 512])
def test_one_window_is_the_whole_image(segment, tmp_path, window):
    sources = pair(tmp_path)
    expected, gone = whole_image(segment, sources)
    found = map_scene(segment, sources, tmp_path / 'map.tif', window=window)
    with rasterio.open(tmp_path / 'map.tif') as raster:
        labels = raster.read(1)
        assert raster.nodata == 255 and raster.crs == 'EPSG:32633' and raster.transform.to_gdal() == (WEST, 10, 0, NORTH, 0, -10)
        assert raster.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert [raster.colormap(1)[i][:3] for i in range(4)] == [tuple(colour) for colour in PALETTE]
        assert [raster.tags()[f'class_{i}'] for i in range(4)] == list(CLASSES)
    assert ((labels == 255) == gone).all()
    assert (labels == expected['prediction'])[~gone].all() and len(np.unique(labels[~gone])) == 4
    assert found['windows'] == 1 and found['nodata'] == gone.sum() and sum(found['pixels'].values()) == (~gone).sum()
    assert found['pixels']['trees'] == (labels == 1).sum()
    names = [element.text for element in ElementTree.parse(tmp_path / 'map.tif.aux.xml').iter('Category')]
    assert names == list(CLASSES)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_the_windows_do_not_show(segment, tmp_path):
    sources = pair(tmp_path)
    expected, gone = whole_image(segment, sources)
    for window, overlap, more in ((64, 0, {}), (64, 32, dict(batch_size=3)), (80, 40, dict(memory=1)), (96, 16, {})):
        map_scene(segment, sources, tmp_path / 'p.tif', window=window, overlap=overlap, probabilities=True, **more)
        with rasterio.open(tmp_path / 'p.tif') as raster:
            found = raster.read()
            assert raster.descriptions == CLASSES and np.isnan(raster.nodata)
        assert (np.isnan(found).all(axis=0) == gone).all() and np.allclose(np.nansum(found, axis=0)[~gone], 1, atol=1e-5)
        near = np.zeros_like(gone)  # the border of a window that is not the scene's
        for axis, length in enumerate(gone.shape):
            for start in starts(length, window, window - overlap):
                for edge in (start, start + window):
                    if 0 < edge < length:
                        near[(slice(None), ) * axis + (slice(max(edge - REACH, 0), edge + REACH), )] = True
        check = ~near & ~gone
        assert check.mean() > .04
        assert np.abs(found - expected['scores'])[:, check].max() < 1e-5
        assert np.abs(found - expected['scores'])[:, near & ~gone].mean() < .1


def test_strips_change_no_byte(segment, tmp_path, monkeypatch):
    sources = pair(tmp_path)
    map_scene(segment, sources, tmp_path / 'a.tif', window=32, overlap=12, probabilities=True)
    import decur.apis.scene_map as module
    made = module._Map.__init__

    def narrow(self, *args):
        made(self, *args)
        self.strips = [(0, 40), (40, 41), (41, 130), (130, 160)]
        self.columns_of = [[c for c in self.columns if c < right and c + self.size[1] > left] for left, right in self.strips]

    monkeypatch.setattr(module._Map, '__init__', narrow)
    map_scene(segment, sources, tmp_path / 'b.tif', window=32, overlap=12, probabilities=True)
    assert (tmp_path / 'a.tif').read_bytes() == (tmp_path / 'b.tif').read_bytes()


@pytest.mark.parametrize('after, overlap', [(1, 8), (20, 8), (40, 20)])
def test_a_stopped_run_goes_on_to_the_same_bytes(segment, tmp_path, monkeypatch, after, overlap):
    sources = pair(tmp_path)
    options = dict(window=32, overlap=overlap, probabilities=True)
    map_scene(segment, sources, tmp_path / 'whole.tif', **options)
    asked = []
    monkeypatch.setattr(segment, 'probabilities', lambda batch, real=segment.probabilities: asked.append(1) or real(batch))
    map_scene(segment, sources, tmp_path / 'again.tif', **options)
    all_windows = len(asked)

    def stop(done, total):
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_scene(segment, sources, tmp_path / 'map.tif', progress=stop, **options)
    assert not (tmp_path / 'map.tif').exists()
    parts = tmp_path / '.map.tif.parts'
    kept = sorted(parts.glob('*.npy'))
    assert kept
    (parts / '.x.npy.1.tmp').write_bytes(b'half')  # as a kill leaves it
    kept[-1].write_bytes(kept[-1].read_bytes()[:40])  # as a power cut leaves it
    with pytest.raises(DataError, match='another run'):
        map_scene(segment, sources, tmp_path / 'map.tif', window=32, overlap=4)
    del asked[:]
    map_scene(segment, sources, tmp_path / 'map.tif', **options)
    assert len(asked) < all_windows or len(kept) < 2
    assert (tmp_path / 'map.tif').read_bytes() == (tmp_path / 'whole.tif').read_bytes() == (tmp_path / 'again.tif').read_bytes()
    assert not parts.exists()


def test_a_run_does_not_go_on_with_another_preprocessing(weights, tmp_path):
    """Mean and standard deviation are not among the weights, and a map is made with one of each."""
    sources = pair(tmp_path)

    def stop(done, total):
        raise KeyboardInterrupt

    segment = SegmentationInferencer(config(), weights[1])
    with pytest.raises(KeyboardInterrupt):
        map_scene(segment, sources, tmp_path / 'map.tif', window=32, progress=stop)
    for options in ({'modalities.sar.mean': [-11.0, -20.0]}, {'modalities.dem.radiometry': [dict(type='CutOutliers')]},
                    {'modalities.sar.reader': dict(type='RasterioReader', missing=-30.0)}):
        with pytest.raises(DataError, match='another run .*preprocessing'), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            map_scene(SegmentationInferencer(config(), weights[1], options=options), sources, tmp_path / 'map.tif', window=32)
    map_scene(SegmentationInferencer(config(), weights[1]), sources, tmp_path / 'map.tif', window=32)
    assert (tmp_path / 'map.tif').is_file()


def test_a_run_that_made_nothing_leaves_nothing(segment, tmp_path):
    """Parts of a scene that could not be read would refuse the one that is given next."""
    sources = pair(tmp_path)
    with rasterio.open(sources['sar'], 'r+') as raster:
        raster.write(np.full((2, 1, 1), np.nan, np.float32), window=rasterio.windows.Window(70, 20, 1, 1))
    with pytest.raises(DataError, match=r'sar.tif, window of the scene at row 0, column 64: .* nan at row 20, column 6\.'):
        map_scene(segment, sources, tmp_path / 'map.tif', window=64, overlap=0)
    assert not (tmp_path / '.map.tif.parts').exists()


def test_entries_of_the_test_data_read_the_scene(weights, tmp_path):
    """As for images: what the test data say of a modality is how its files are read."""
    sources = pair(tmp_path)
    own = dict(reader=dict(type='RasterioReader', missing=300.0))
    segment = SegmentationInferencer(config(), weights[1], options={'test_dataloader.dataset.modalities.dem': own})
    with rasterio.open(sources['dem'], 'r+') as raster:
        raster.write(np.full((1, 4, 4), 300, np.float32), window=rasterio.windows.Window(100, 70, 4, 4))
    found = map_scene(segment, sources, tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as raster:
        assert (raster.read(1)[70:74, 100:104] == 255).all() and found['nodata'] == 10 * 20 + 3 * 160 + 16


def test_a_killed_command_goes_on(weights, tmp_path):
    """SIGKILL in the middle, then the same command."""
    sources = pair(tmp_path, size=(160, 160))
    command = ['tools/infer.py', *weights, *(f'{name}={path}' for name, path in sources.items()), '--window', '32', '--overlap', '16']
    with open(tmp_path / 'log', 'w') as log:
        process = subprocess.Popen([sys.executable, *map(str, command), '--out', tmp_path / 'map.tif'], cwd=ROOT, stdout=log, stderr=log,
                                   env=dict(os.environ, OMP_NUM_THREADS='1'))
        try:
            limit = time.monotonic() + 120
            while not list(tmp_path.glob('.map.tif.parts/*.npy')) and process.poll() is None and time.monotonic() < limit:
                time.sleep(.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
    assert not (tmp_path / 'map.tif').exists(), 'ended before it was killed'
    assert list(tmp_path.glob('.map.tif.parts/*.npy')), (tmp_path / 'log').read_text()
    run_tool(*command, '--out', tmp_path / 'map.tif')
    run_tool(*command, '--out', tmp_path / 'whole.tif')
    assert (tmp_path / 'map.tif').read_bytes() == (tmp_path / 'whole.tif').read_bytes()


def test_a_sensor_may_be_missing_if_it_is_said(segment, tmp_path):
    sources = pair(tmp_path)
    only = dict(sar=sources['sar'])
    with pytest.raises(ConfigError, match=r"no scene of \['dem'\].*--missing dem"):
        map_scene(segment, only, tmp_path / 'map.tif')
    map_scene(segment, only, tmp_path / 'map.tif', missing=['dem'])
    with rasterio.open(tmp_path / 'map.tif') as raster:
        labels = raster.read(1)
    assert (labels == segment(only)['prediction'])[10:].all() and (labels[:10, :20] == 255).all()
    for arguments, words in ((dict(missing=['dem', 'sar']), 'declared missing'), (dict(missing=['dm']), "did you mean 'dem'")):
        with pytest.raises(ConfigError, match=words):
            map_scene(segment, only, tmp_path / 'map.tif', **arguments)


def test_two_classes_by_one_number(tmp_path):
    """A head with one output and a threshold: probabilities of both classes, and the labels that the threshold makes."""
    sources, cfg = pair(tmp_path), config()
    cfg.model.decode_head.update(num_classes=2, out_channels=1, threshold=.3,
                                 loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
    cfg.test_dataloader.dataset.metainfo.update(classes=CLASSES[:2], palette=PALETTE[:2])
    torch.manual_seed(0)
    state = build_model(cfg).state_dict()
    state['decode_head.score.0.weight'] = torch.randn_like(state['decode_head.score.0.weight'])
    torch.save(dict(state_dict=state), tmp_path / 'model.pth')
    segment = SegmentationInferencer(cfg, str(tmp_path / 'model.pth'))
    images = segment.load(sources)
    first, second = segment.probabilities([images, dict(images, dem=images['dem'] + 50)])
    logits = segment.model.encode_decode(segment.model.data_preprocessor(dict(
        inputs=[torch.from_numpy(np.concatenate([images['sar'], images['dem']], 2).transpose(2, 0, 1))],
        data_samples=[SegDataSample()]), False)['inputs'], [dict(ori_shape=(96, 160), img_shape=(96, 160))])
    assert first.shape == (2, 96, 160) and np.allclose(first.sum(0), 1) and np.abs(first - second).max() > .01
    assert np.allclose(first[1], logits.sigmoid()[0, 0].detach(), atol=1e-6)
    expected = segment(sources)['prediction']
    assert ((first[1] > .3) == expected).all() and 0 < expected.mean() < 1 and ((first[1] > .5) != expected).any()
    options = dict(window=64, overlap=32)
    map_scene(segment, sources, tmp_path / 'map.tif', **options)
    map_scene(segment, sources, tmp_path / 'p.tif', probabilities=True, **options)
    with rasterio.open(tmp_path / 'map.tif') as labels, rasterio.open(tmp_path / 'p.tif') as probabilities:
        labels, probabilities = labels.read(1), probabilities.read()
    known = labels != 255
    assert (known == ~np.isnan(probabilities[0])).all() and ((probabilities[1] > .3) == labels)[known].all()


def test_nodata_where_all_sensors_lack(segment, tmp_path):
    sources = pair(tmp_path)
    dem = np.full((96, 160, 1), 300, np.float32)
    dem[:5] = -9999
    sources['dem'] = write_scene(tmp_path / 'dem.tif', dem[:, :150], nodata=-9999)
    for where, expected in (('any', lambda sar, dem: sar | dem), ('all', lambda sar, dem: sar & dem)):
        map_scene(segment, sources, tmp_path / 'map.tif', window=64, overlap=16, nodata_where=where)
        gone = np.zeros((2, 96, 160), bool)
        gone[0, :10, :20] = gone[1, :5] = gone[1, :, 150:] = True
        with rasterio.open(tmp_path / 'map.tif') as raster:
            assert ((raster.read(1) == 255) == expected(*gone)).all()


def test_an_empty_window_is_not_computed(segment, tmp_path, monkeypatch):
    sar = np.full((96, 160, 2), np.nan, np.float32)
    sar[:32, :32] = -12
    path = write_scene(tmp_path / 'sar.tif', sar, nodata=np.nan)
    seen = []
    monkeypatch.setattr(segment, 'probabilities', lambda batch, real=segment.probabilities: seen.append(len(batch)) or real(batch))
    found = map_scene(segment, dict(sar=path), tmp_path / 'map.tif', window=32, overlap=0, missing=['dem'])
    assert sum(seen) == 1 and found['windows'] == 15 and found['nodata'] == 14 * 32 * 32


def test_a_command(weights, tmp_path):
    """As a user types it, and what a user may get wrong: one line, and no file."""
    sources = pair(tmp_path)
    arguments = ['tools/infer.py', *weights, *(f'{name}={path}' for name, path in sources.items())]
    done = run_tool(*arguments, '--window', 64, '--out', tmp_path / 'map.tif')
    assert '96 x 160 pixels' in done.stdout and 'crops & meadow' in done.stdout and (tmp_path / 'map.tif').is_file()
    for extra, words in (
            (['--window', '64', '--out', tmp_path / 'folder'], '--window is for the map of a scene'),
            (['--out', tmp_path / 'b.tif', '--overlap', '600'], 'overlap of 600 cannot be'),
            (['--out', tmp_path / 'b.tif', '--intrinsics', '1', '1', '1', '1'], '--intrinsics'),
            (['--out', sources['sar']], 'is one of the scenes'),
            (['--out', tmp_path / 'b.tif', '--reference', 'rgb'], "reference 'rgb'"),
            (['--out', tmp_path / 'b.tif', '--missing', 'dem'], 'declared missing')):
        done = run_tool(*arguments, *extra, check=False)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith('error: ') and words in lines[0], done.stderr
    assert not (tmp_path / 'b.tif').exists() and not (tmp_path / '.b.tif.parts').exists()


def test_a_file_that_cannot_be_written_is_an_error(segment, tmp_path, monkeypatch):
    """What is read back is compared: GDAL is silent about blocks that it could not write when it closed the file."""
    import rasterio.shutil
    from rasterio._err import CPLE_FileIOError

    from decur.writing import WriteError
    sources = pair(tmp_path)
    copy = rasterio.shutil.copy

    def damaged(source, target, **options):
        with rasterio.open(source, 'r+') as raster:
            raster.write(np.zeros((1, 5, 5), np.uint8), window=rasterio.windows.Window(40, 60, 5, 5))
        copy(source, target, **options)

    def full(source, target, **options):
        raise CPLE_FileIOError(3, 3, 'No space left on device')

    for function, words in ((damaged, 'read back'), (full, 'No space left')):
        monkeypatch.setattr(rasterio.shutil, 'copy', function)
        with pytest.raises(WriteError, match=f'map.tif.*{words}'):
            map_scene(segment, sources, tmp_path / 'map.tif', window=96)
        assert not (tmp_path / 'map.tif').exists()
    monkeypatch.setattr(rasterio.shutil, 'copy', copy)
    map_scene(segment, sources, tmp_path / 'map.tif', window=96)
    assert (tmp_path / 'map.tif').exists()
