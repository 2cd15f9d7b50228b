import json
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from helpers import run_code, run_tool

from decur.datasets import NYUv2Dataset, SUNRGBDDataset
from decur.errors import ConfigError, DataError
from decur.prepare import nyudv2, sunrgbd
from decur.prepare.hha_folder import make_hha
from decur.prepare.nyudv2 import NYUv2Release
from decur.transforms import depth_to_hha
from decur_worlds.rgbd_layouts import write_layout
from decur_worlds.rooms import TEST_OFFSET, generate_room

TOOLS = Path(__file__).parents[2] / 'tools'
SIZE = (40, 56)
MODULES = dict(sunrgbd=sunrgbd, nyudv2=nyudv2)


@pytest.fixture(scope='module')
def releases(tmp_path_factory):
    root = tmp_path_factory.mktemp('releases')
    for name in MODULES:
        write_layout(name, root / name, 5, 3, SIZE, seed=2)
    return root


@pytest.fixture(scope='module')
def prepared(releases):
    for name, module in MODULES.items():
        module.prepare(releases / name, releases / f'{name}_prepared')
    return {name: releases / f'{name}_prepared' for name in MODULES}


def rooms():
    return [generate_room(2, i, SIZE) for i in range(5)] + [generate_room(2, TEST_OFFSET + i, SIZE) for i in range(3)]


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture
def fails(monkeypatch, capsys):
    """What a tool prints and the line it ends with (run here: starting Python takes seconds)."""
    def run(tool, *options):
        monkeypatch.setattr(sys, 'argv', [tool, *options])
        capsys.readouterr()
        with pytest.raises(SystemExit) as error:
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        printed = capsys.readouterr()
        assert error.value.code == 1 and len(printed.err.splitlines()) == 1
        return printed.out, printed.err
    return run


@pytest.mark.parametrize('name', MODULES)
def test_the_scenes_come_back(prepared, name):
    out = prepared[name]
    stems = [(out / f'{split}.txt').read_text().split() for split in ('train', 'test')]
    assert [len(part) for part in stems] == [5, 3]
    cameras = json.loads((out / 'intrinsics.json').read_text())
    for stem, room in zip(sum(stems, []), rooms()):
        rgb, depth, raw, hha, label = (cv2.imread(str(out / folder / f'{stem}.png'), cv2.IMREAD_UNCHANGED)
                                       for folder in ('rgb', 'depth', 'depth_raw', 'hha', 'label'))
        assert np.array_equal(rgb[..., ::-1], room['rgb'])
        assert raw.dtype == np.uint16 and np.abs(raw / 1000. - room['depth']).max() < 6e-4
        assert (depth > 0).all() and np.array_equal(depth[raw > 0], raw[raw > 0])
        assert np.array_equal(label, room['label'])
        if name == 'sunrgbd':
            assert cameras[stem] == pytest.approx(room['intrinsics'], abs=1e-5)
        assert np.array_equal(hha[..., ::-1], depth_to_hha(depth / 1000., cameras[stem], raw / 1000.))


def test_prepared_data_are_read(prepared):
    pipeline = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities')]
    entries = dict(rgb=dict(channels=3), hha=dict(channels=3))
    for dataset, name in ((SUNRGBDDataset, 'sunrgbd'), (NYUv2Dataset, 'nyudv2')):
        sample = dataset(entries, str(prepared[name]), 'test', pipeline=pipeline)[2]
        assert np.array_equal(sample['img'][..., :3], rooms()[7]['rgb']) and sample['img'].shape == (*SIZE, 6)


def test_command_killed_and_gone_on(releases, prepared, tmp_path):
    name = 'sunrgbd'
    out = tmp_path / 'out'
    command = [str(TOOLS / 'prepare_dataset.py'), name, str(releases / name), str(out), '--workers', '1']
    script = f'''
import os, signal, sys
import decur.prepare.folder_writer as module
real, count = module.write_bytes, [0]
def write(path, data):
    count[0] += 1
    if count[0] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, data)
module.write_bytes = write
sys.argv = {command!r}
exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))
'''
    killed = run_code(script)
    assert killed.returncode == -9, killed.stderr
    assert 0 < len(list(out.rglob('*.png'))) < 40 and not (out / 'train.txt').exists()
    with pytest.raises(ConfigError, match='not finished'):
        NYUv2Release.verify(out, 1, False)
    done = run_tool(*command[:-1], 2)
    assert 'ETA' in done.stdout and files(out) == files(prepared[name])


@pytest.mark.parametrize('name', MODULES)
def test_dry_run_writes_nothing(releases, tmp_path, name):
    figures = MODULES[name].prepare(releases / name, tmp_path / 'out', dry_run=True)
    assert (figures['samples'], figures['train'], figures['test']) == (8, 5, 3) and not (tmp_path / 'out').exists()
    assert figures['bytes'] > 8 * SIZE[0] * SIZE[1]


def test_a_release_of_one_image_for_a_split(tmp_path):
    write_layout('sunrgbd', tmp_path / 'src', 2, 1, SIZE, seed=2)  # MATLAB's reader gives a list of one as its only entry
    figures = sunrgbd.prepare(tmp_path / 'src', tmp_path / 'out', hha=False)
    assert (figures['train'], figures['test'], figures['done']) == (2, 1, 3)


def test_limit_and_no_hha(releases, prepared, tmp_path):
    figures = sunrgbd.prepare(releases / 'sunrgbd', tmp_path / 'out', limit=2, hha=False)
    assert (figures['train'], figures['test'], figures['done']) == (2, 2, 4)
    assert (tmp_path / 'out' / 'train.txt').read_text().split() == (releases / 'sunrgbd_prepared' / 'train.txt').read_text().split()[:2]
    assert not (tmp_path / 'out' / 'hha').exists() and len(list((tmp_path / 'out' / 'rgb').iterdir())) == 4


def test_verify_and_repair_find_what_is_wrong(releases, prepared, tmp_path, fails):
    assert NYUv2Release.verify(prepared['nyudv2'], 1, False) == []
    out = shutil.copytree(prepared['nyudv2'], tmp_path / 'out')
    (out / 'hha' / '0001.png').unlink()
    path = out / 'rgb' / '0002.png'
    path.write_bytes(path.read_bytes()[:200])
    cv2.imwrite(str(out / 'label' / '0003.png'), np.full(SIZE, 41, np.uint8))
    cv2.imwrite(str(out / 'depth' / '0004.png'), np.full(SIZE, 20, np.uint16))
    cv2.imwrite(str(out / 'depth_raw' / '0005.png'), np.full((20, 20), 2000, np.uint16))
    wrong = NYUv2Release.verify(out, 1, False)
    assert len(wrong) == 5
    for part, sentence in zip(('hha/0001.png is missing', '0002.png cannot be read', 'label id 41', '0.02 m', 'sizes differ'), wrong):
        assert part in sentence
    shown, message = fails('prepare_dataset.py', 'nyudv2', 'unused', str(out), '--verify')
    assert 'lists 5 images, the whole data set has 795 (7 problems)' in message and '--repair' in message
    assert 'label id 41' in shown
    nyudv2.prepare(releases / 'nyudv2', out, repair=True)
    assert files(out) == files(prepared['nyudv2'])


@pytest.mark.parametrize('name, remove, says', [
    ('sunrgbd', 'SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat', 'SUNRGBDMeta.mat.*Unpack'),
    ('sunrgbd', 'SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat', 'allsplit.mat'),
    ('sunrgbd', 'SUNRGBD/kv1/NYUdata/000000_scene/depth_bfx/0000000.png', '1 files.*0000000.png'),
    ('nyudv2', 'splits.mat', 'splits.mat'),
    ('nyudv2', 'classMapping40.mat', 'classMapping40.mat'),
    ('nyudv2', 'nyu_depth_v2_labeled.mat', 'nyu_depth_v2_labeled.mat'),
])
def test_a_missing_file_is_named(releases, tmp_path, name, remove, says):
    src = shutil.copytree(releases / name, tmp_path / 'src')
    (src / remove).unlink()
    with pytest.raises(DataError, match=says):
        MODULES[name].prepare(src, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_truncated_archive_files(releases, tmp_path):
    src = shutil.copytree(releases / 'nyudv2', tmp_path / 'src')
    path = src / 'nyu_depth_v2_labeled.mat'
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match='truncated'):
        nyudv2.prepare(src, tmp_path / 'out')


def test_depth_of_8_bits_and_other_sizes(releases, tmp_path):
    src = shutil.copytree(releases / 'sunrgbd', tmp_path / 'src')
    path = src / 'SUNRGBD/kv2/kinect2data/000001_scene/depth_bfx/0000001.png'
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), (image >> 8).astype(np.uint8))
    with pytest.raises(DataError, match='0000001.png.*uint16'):
        sunrgbd.prepare(src, tmp_path / 'a')
    cv2.imwrite(str(path), image[:-2])
    with pytest.raises(DataError, match='differ in size'):
        sunrgbd.prepare(src, tmp_path / 'b')


def test_labels_outside_the_classes(releases, tmp_path):
    src = shutil.copytree(releases / 'nyudv2', tmp_path / 'src')
    with h5py.File(src / 'nyu_depth_v2_labeled.mat', 'r+') as file:
        file['labels'][1] = 895
    with pytest.raises(DataError, match='image 2 has label 895'):
        nyudv2.prepare(src, tmp_path / 'out')
    scipy.io.savemat(src / 'classMapping40.mat', dict(mapClass=np.full((1, 894), 41.)))
    with pytest.raises(DataError, match='mapClass'):
        NYUv2Release(src).samples()


def test_make_hha_tool(prepared, tmp_path, fails):
    root = shutil.copytree(prepared['sunrgbd'], tmp_path / 'set')
    before = files(root / 'hha')
    for stem in sorted(before)[:3]:
        (root / 'hha' / stem).unlink()
    done = run_tool(TOOLS / 'make_hha.py', root, '--raw', 'depth_raw', '--workers', 2)
    assert '3 made' in done.stdout, done.stderr
    assert files(root / 'hha') == before
    assert '(3,)' in fails('make_hha.py', str(root), '--out', 'other', '--intrinsics', '50', '50', '28')[1]
    assert not (root / 'other').exists()


def test_make_hha_errors(prepared, tmp_path):
    root = shutil.copytree(prepared['sunrgbd'], tmp_path / 'set')
    for options, says in ((dict(unit=1.), 'median'), (dict(intrinsics='absent.json'), 'absent.json'), (dict(depth='nothing'), 'nothing'),
                          (dict(raw='nothing'), 'lacks 8 of 8'), (dict(depth='label'), '8 bits'),
                          (dict(intrinsics=np.eye(4)), r'\(4, 4\)')):
        with pytest.raises(DataError, match=says):
            make_hha(root, out='new', **options)


@pytest.mark.parametrize('path', ['../../../../etc/image/x.png', 'SUNRGBD/../../x/image/y.png'])
def test_paths_of_the_release_do_not_lead_outside(releases, tmp_path, path):
    src = shutil.copytree(releases / 'sunrgbd', tmp_path / 'src')
    meta = src / 'SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat'
    scipy.io.savemat(meta, dict(SUNRGBDMeta=np.array([[(path, 'a.jpg', 'b.png', np.eye(3))] * 8],
                                                     [(k, object) for k in ('rgbpath', 'rgbname', 'depthname', 'K')])))
    folder = path.split('SUNRGBD/')[-1].rsplit('/', 2)[0]
    scipy.io.savemat(src / 'SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat',
                     dict(alltrain=np.array([[folder, folder]], object), alltest=np.array([[folder, folder]], object)))
    with pytest.raises(DataError, match='outside the folder of the data'):
        sunrgbd.prepare(src, tmp_path / 'out')


def test_damaged_label_maps_and_images_are_named_after_the_others_are_done(releases, tmp_path):
    src = shutil.copytree(releases / 'nyudv2', tmp_path / 'src')
    with h5py.File(src / 'nyu_depth_v2_labeled.mat', 'r+') as file:
        file['labels'][1] = 895
        file['depths'][4] = 0.01
    with pytest.raises(DataError, match='2 sample.s. cannot be prepared, the first is 0002: .*label 895.* same command again'):
        nyudv2.prepare(src, tmp_path / 'out')
    assert len(list((tmp_path / 'out' / 'hha').iterdir())) == 6 and not (tmp_path / 'out' / 'train.txt').exists()
    nyudv2.prepare(releases / 'nyudv2', tmp_path / 'out')
    assert len((tmp_path / 'out' / 'train.txt').read_text().split()) == 5


@pytest.mark.parametrize('name, content, says', [
    ('intrinsics.json', b'[]', 'intrinsics.json'), ('intrinsics.json', b'\xff\xfe{', 'intrinsics.json'),
    ('intrinsics.json', b'[' * 100_000, 'intrinsics.json'), ('train.txt', b'\xe9\xff\n', 'train.txt'),
    ('test.txt', b'../../x\n', 'test.txt')
])
def test_damaged_lists_end_verification_with_their_name(prepared, tmp_path, name, content, says):
    out = shutil.copytree(prepared['nyudv2'], tmp_path / 'out')
    (out / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        NYUv2Release.verify(out, 1, False)


def test_every_flipped_bit_of_a_png_is_found_by_verify(prepared, tmp_path):
    """PNG has checksums, which decoders of pictures do not compare; JPEG has none."""
    out = shutil.copytree(prepared['nyudv2'], tmp_path / 'out')
    rng = np.random.default_rng(0)
    pngs = sorted(out.rglob('*.png'))
    for path in rng.choice(pngs, 12, replace=False):
        whole = path.read_bytes()
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        assert any(str(path) in problem for problem in NYUv2Release.verify(out, 1, False)), path
        path.write_bytes(whole)
    assert NYUv2Release.verify(out, 1, False) == []


def test_make_hha_suffixes_and_hidden_files(prepared, tmp_path):
    root = shutil.copytree(prepared['sunrgbd'], tmp_path / 'set')
    stems = sorted(path.stem for path in (root / 'depth').iterdir())
    (root / 'depth' / f'{stems[0]}.png').rename(root / 'depth' / f'{stems[0]}.PNG')
    (root / 'depth' / f'._{stems[1]}.png').write_bytes(b'AppleDouble')
    assert make_hha(root, out='new') == len(stems) and sorted(path.stem for path in (root / 'new').iterdir()) == stems
    shutil.copy(root / 'depth' / f'{stems[0]}.PNG', root / 'depth' / f'{stems[0]}.png')
    with pytest.raises(DataError, match='differ only in their suffix'):
        make_hha(root, out='newer')


def test_a_folder_that_cannot_be_written_is_said_at_the_start(prepared, tmp_path, monkeypatch, fails):
    root = shutil.copytree(prepared['sunrgbd'], tmp_path / 'set')
    monkeypatch.setattr('os.access', lambda path, mode: False)  # root may write everywhere
    assert 'new cannot be written (Permission denied)' in fails('make_hha.py', str(root), '--out', 'new')[1]
    assert not (root / 'new').exists()
