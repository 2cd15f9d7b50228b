"""A project for one's own folders: what is seen in them, what is proposed, what is written, and that it trains."""
import importlib.util
import shlex
import shutil
import sys

import numpy as np
import pytest
from helpers import ROOT, write_pairs, write_tif
from mmengine.config import Config
from mmengine.registry import DATASETS, RUNNERS
from own_project.data import find_parts, look
from own_project.files import count_samples, tile_size, write
from own_project.names import match_names
from own_project.proposals import guess_kind, is_depth, looks_like_labels, propose, rounded_range, split_ids
from PIL import Image

import decur
from decur.binding import bind
from decur.engine import load_config, prepare
from decur.errors import ConfigError, DataError
from decur.readers import AutoReader

spec = importlib.util.spec_from_file_location('new_project', ROOT / 'tools' / 'new_project.py')
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'mine'
    return write_pairs(root, ids=[f'site{i // 2}_{i % 2:03}' for i in range(12)], size=(40, 48))


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / 'mine')


@pytest.fixture(scope='module')
def found(folder):
    seen = []
    result = look(folder, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (48, 48) and len(seen) == 48, 'twelve images of three modalities and the labels'
    return result


def run_tool_here(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['new_project.py', *map(str, arguments)])
    tool.main()


def test_modalities_kinds_and_labels_are_seen(found):
    assert found.kinds == dict(s1='sar', s2='optical', rgb='rgb') and found.labels.files == dict(folder='label', suffix='.png')
    assert found.entries['s2']['bands'][0] == 'B1' and found.entries['s2']['radiometry'] == [dict(type='RemoveOffset')]
    assert 'reader' not in found.entries['rgb'] and found.ranges['rgb'] is None
    assert found.labels.values == {i: f'class_{i}' for i in range(4)}
    assert (found.side, found.one_size, found.gaps) == (40, True, {})


def test_statistics_are_those_of_the_pixels(found, folder):
    """Against NumPy over all files: every image was read."""
    for name in ('s1', 'rgb'):
        pixels = np.concatenate([AutoReader()(path).reshape(-1, found.entries[name]['channels']).astype(np.float64)
                                 for path in sorted((folder / name).iterdir())])
        np.testing.assert_allclose(found.entries[name]['mean'], pixels.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found.entries[name]['std'], pixels.std(0), rtol=1e-5)
    low, high = found.ranges['s1']
    assert low < pixels_of(folder, 's1').min() + 5 and low < -25 and high > 0


def pixels_of(folder, name):
    return np.concatenate([AutoReader()(path).ravel() for path in sorted((folder / name).iterdir())])


def test_missing_pixels_do_not_count(copy):
    for path in (copy / 's1').iterdir():
        image = AutoReader()(path)
        image[:20] = -9999
        path.unlink()
        write_tif(path, image, nodata=-9999)
    entry = look(copy).entries['s1']
    assert -14 < entry['mean'][0] < -10 and 4 < entry['std'][0] < 6


@pytest.mark.parametrize('name, bands, dtypes, low, high, kind', [
    ('a', ('VV', 'VH'), ['float32'], 0, 1, 'sar'), ('S1_grd', ('1', '2'), ['uint16'], 0, 9, 'sar'),
    ('x', ('1', '2'), ['float32'], -40, 5, 'sar'),
    ('dem', ('1', ), ['float32'], 0, 800, 'elevation'), ('hha', ('1', '2', '3'), ['uint8'], 0, 255, 'hha'),
    ('aerial', ('1', '2', '3'), ['uint8'], 0, 255, 'rgb'), ('planet', ('1', '2', '3', '4'), ['uint16'], 0, 9000, 'optical'),
    ('thermal', ('1', ), ['float32'], 250, 320, 'other'), ('cube', tuple(map(str, range(200))), ['int16'], 0, 9, 'optical')])
def test_kinds_are_told_by_name_bands_and_values(name, bands, dtypes, low, high, kind):
    assert guess_kind(name, bands, dtypes, low, high) == kind


def test_labels_are_told_by_name_and_type():
    assert looks_like_labels('masks', 1, ['uint8']) and looks_like_labels('LULC', 1, ['int16'])
    assert not looks_like_labels('label', 3, ['uint8']) and not looks_like_labels('label', 1, ['float32'])
    assert not looks_like_labels('aerial', 1, ['uint8'])


def test_scenes_stay_together_and_the_share_is_kept():
    ids = [f'scene{i}_{j:02}' for i in range(20) for j in range(10)]
    train, test, how = split_ids(ids, 0.2, np.random.default_rng(0))
    assert how == 'scene' and len(test) == 40 and sorted(train + test) == sorted(ids)
    assert not {name.split('_')[0] for name in train} & {name.split('_')[0] for name in test}
    assert split_ids([f'{i:04}' for i in range(50)], 0.2, np.random.default_rng(0))[2] == 'sample'
    assert split_ids([f'{i}/{j}' for i in range(5) for j in range(4)], 0.2, np.random.default_rng(0))[2] == 'folder'


def test_the_machine_and_the_data_choose_the_encoder():
    small, large = propose(1000, 256, 2, 0, 8), propose(100_000, 256, 2, 40, 32)
    assert small.encoder['type'] == 'SmallResNet' and small.size == 64 and small.workers <= 2
    assert large.encoder == dict(type='mmpretrain.ResNet', depth=50) and large.size == 224 and large.projector == 8192
    assert propose(1000, 256, 2, 40, 32).encoder['depth'] == 18
    for samples in (2, 7, 100, 10**6):
        plan = propose(samples, 300, 3, 16, 4)
        assert 2 <= plan.batch_size <= max(samples, 2) and 10 <= plan.epochs <= 400
    assert propose(10**6, 300, 3, 8, 4).batch_size < propose(10**6, 300, 3, 80, 4).batch_size


def test_a_range_holds_its_ends():
    for low, high in ((-31.7, 3.2), (0, 9411), (0.0, 0.0), (120.5, 801.0), (-5, -1)):
        lowest, highest = rounded_range(low, high)
        assert lowest <= low and highest >= high and lowest < highest


def test_large_images_are_cut_into_tiles(found):
    assert tile_size(found, 64) is None and count_samples(found, ['a', 'b'], 64) == 2
    large = found._replace(side=1000)
    assert tile_size(large, 64) == 128 and count_samples(large, ['a', 'b'], 64) == 2 * 49
    assert tile_size(large._replace(one_size=False), 64) is None


def test_what_was_edited_is_kept(found, tmp_path):
    plan, split = propose(8, 40, 3, 0, 2), split_ids(found.ids, 0.2, np.random.default_rng(0))
    assert set(write(found, plan, split, tmp_path).values()) == {'written'}
    assert set(write(found, plan, split, tmp_path).values()) == {'as before'}
    config = tmp_path / 'configs' / 'pretrain.py'
    config.write_text(config.read_text() + '# mine\n')
    other = plan._replace(epochs=99)
    state = write(found, other, split, tmp_path)
    assert state['configs/pretrain.py'] == 'kept, since it was edited' and '# mine' in config.read_text()
    assert state['README.md'] == 'written' and 'epoch_99' in (tmp_path / 'README.md').read_text()
    assert write(found, other, split, tmp_path)['configs/pretrain.py'] == 'kept, since it was edited', 'the second time too'
    assert write(found, other, split, tmp_path, force=True)['configs/pretrain.py'] == 'written' and '# mine' not in config.read_text()


def test_a_project_is_not_written_into_the_data(found):
    with pytest.raises(ConfigError, match='lies in the folder of the data'):
        write(found, propose(8, 40, 3, 0, 2), (['a'], ['b'], 'sample'), found.root / 'project')


def only_one(copy):
    for name in ('s2', 'rgb', 'label'):
        shutil.rmtree(copy / name)


def other_names(copy):
    for i, path in enumerate(list((copy / 's1').iterdir())):
        path.rename(path.with_name(f'image{i}.tif'))


def cut_off(copy):
    path = next((copy / 's2').iterdir())
    path.write_bytes(path.read_bytes()[:1000])


def all_cut_off(copy):
    for path in (copy / 's2').iterdir():
        path.write_bytes(path.read_bytes()[:1000])


def side_by_side(copy):
    for name in ('s1', 's2', 'rgb', 'label'):
        for path in (copy / name).iterdir():
            path.rename(copy / f'{name}_{path.name}')
        (copy / name).rmdir()


def emptied(copy):
    for name in ('s1', 's2', 'rgb', 'label'):
        shutil.rmtree(copy / name)
        (copy / name).mkdir()


def float_labels(copy):
    for path in (copy / 'label').iterdir():
        path.unlink()
        write_tif(path.with_suffix('.tif'), np.random.default_rng(0).random((40, 48), np.float32))


def test_files_that_cannot_be_read_are_left_out_and_named(copy, tmp_path, monkeypatch, capsys):
    cut_off(copy)
    (copy / 'rgb' / 'site3_001.png').write_bytes(b'')
    (copy / 'label' / 'site4_000.png').write_bytes(b'not a picture')
    first = next((copy / 's2').iterdir()).stem
    found = look(copy, count=2)
    assert set(found.broken) == {first, 'site3_001', 'site4_000'} and not set(found.broken) & set(found.ids)
    assert f's2/{first}.tif cannot be read' in found.broken[first] and len(found.ids) == 12 - len(found.broken)
    monkeypatch.chdir(tmp_path)
    run_tool_here(monkeypatch, copy, '--gpu', 0)
    assert '3 of 12 samples cannot be read and are not in the splits' in capsys.readouterr().out
    project = tmp_path / 'mine-decur'
    listed = [name for part in ('train', 'test') for name in (project / 'splits' / f'{part}.txt').read_text().split()]
    assert sorted(listed) == found.ids and 'site3_001` is left out' in (project / 'README.md').read_text()


@pytest.mark.parametrize('names, pattern', [('S1_{}', 'S1_{id}.tif'), ('{}_S1', '{id}_S1.tif'), ('a_{}_grd', 'a_{id}_grd.tif')])
def test_names_that_differ_in_what_all_of_a_folder_have_are_matched(copy, names, pattern):
    for path in list((copy / 's1').iterdir()):
        path.rename(path.with_stem(names.format(path.stem)))
    for path in list((copy / 'label').iterdir()):
        path.rename(path.with_stem(f'{path.stem}_mask'))
    found = look(copy)
    assert found.entries['s1']['files'] == dict(folder='s1', pattern=pattern) and found.entries['s2']['files'] == dict(
        folder='s2', suffix='.tif')
    assert found.labels.files == dict(folder='label', pattern='{id}_mask.png')
    assert len(found.ids) == 12 and found.ids[0] == 'site0_000' and sum('names are matched' in note for note in found.notes) == 2
    plan = propose(8, 40, 3, 0, 2)
    write(found, plan, (found.ids[2:], found.ids[:2], 'sample'), copy.parent / 'project')
    for config in ('pretrain', 'finetune'):
        cfg = bind(load_config(str(copy.parent / 'project' / 'configs' / f'{config}.py')))
        built = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
        assert [built.get_data_info(i)['sample_id'] for i in range(len(built))] == found.ids[2:]


def test_names_that_match_or_share_nothing_stay(found, folder):
    parts, _ = find_parts(folder)
    assert match_names(parts) == parts
    other = {name: part._replace(ids=[f'{name}{i}x' for i in range(5)]) for name, part in parts.items()}
    assert match_names(other) == other


def test_no_depth_is_missing_where_a_camera_says_zero(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        depth = rng.integers(1000, 3000, (32, 40), dtype=np.uint16)
        depth[:, :20] = 0
        for name, image in (('color', rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)), ('depth', depth)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / name / f'{i}.png')
    found = look(tmp_path)
    assert found.kinds == dict(color='rgb', depth='elevation') and found.entries['depth']['reader']['missing'] == 0
    assert 1900 < found.entries['depth']['mean'][0] < 2100 and found.entries['depth']['std'][0] < 700
    assert is_depth('Depth_16', ['uint16']) and not is_depth('depth', ['float32']) and not is_depth('dem', ['uint16'])


def test_commands_are_quoted(found, tmp_path):
    write(found, propose(8, 40, 3, 0, 2), (found.ids[2:], found.ids[:2], 'sample'), tmp_path / 'my project')
    command = next(line for line in (tmp_path / 'my project' / 'README.md').read_text().splitlines() if line.startswith('decur train'))
    assert len(shlex.split(command)) == 5


@pytest.mark.parametrize('spoil, options, error, match', [
    (only_one, {}, DataError, 'has 1 folder.* a pair needs two'), (other_names, {}, DataError, 'no file name is in every folder'),
    (all_cut_off, {}, DataError, r's2/site\d_000.tif cannot be read'), (shutil.rmtree, {}, DataError, 'does not exist'),
    (side_by_side, {}, DataError, r'lie side by side \(label_site0_000.png.*one folder for each sensor is wanted'),
    (emptied, {}, DataError, 'has no folders of images; one folder for each sensor is wanted'),
    (float_labels, dict(labels='label'), DataError, 'a label map is one band of integers'),
    (None, dict(labels='lable'), ConfigError, "did you mean 'label'"), (None, dict(kinds=dict(s3='sar')), ConfigError, "'s3'"),
    (None, dict(kinds=dict(s1='radar')), ConfigError, 'Known: sar, optical'),
    (None, dict(classes=['a', 'b']), ConfigError, 'names 2 classes, and the labels have 4')])
def test_a_bad_folder_is_one_line_that_says_what_to_do(copy, spoil, options, error, match):
    if spoil:
        spoil(copy)
    with pytest.raises(error, match=match) as raised:
        look(copy, **options)
    assert '\n' not in str(raised.value)


def test_a_bad_folder_ends_the_tool_with_one_line(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        run_tool_here(monkeypatch, tmp_path / 'nowhere', '--out', tmp_path / 'out')
    assert stop.value.code == 1 and capsys.readouterr().err.strip() == f'error: {tmp_path / "nowhere"} does not exist.'
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_from_folders_to_a_first_training_step(monkeypatch, copy, tmp_path, capsys):
    """The tool, then the configs that it wrote: two iterations of pretraining, and of transfer from its checkpoint."""
    monkeypatch.chdir(tmp_path)
    run_tool_here(monkeypatch, copy, '--gpu', 0, '--classes', 'a,b,c,d')
    project = tmp_path / 'mine-decur'
    out = capsys.readouterr().out
    assert '(--kind s1=sar)' in out and f'decur train {project.relative_to(tmp_path)}/configs/pretrain.py' in out
    width, _ = Image.open(project / 'views.png').size
    assert width > 9 * 190, 'three pictures of each modality side by side'
    train = (project / 'splits' / 'train.txt').read_text().split()
    test = (project / 'splits' / 'test.txt').read_text().split()
    assert not set(train) & set(test) and len(train) + len(test) == 12 and test

    def run(config, **options):
        cfg = load_config(str(project / 'configs' / config), options, str(tmp_path / config))
        RUNNERS.build(prepare(cfg)).train()
        return tmp_path / config

    shared = {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}
    small = {'model.neck.hid_channels': 16, 'model.neck.out_channels': 16, 'model.head.common_dim': 12, 'train_cfg.max_epochs': 1}
    done = run('pretrain.py', **shared, **small)
    cfg = run('frozen.py', **shared, **{'train_cfg.max_iters': 2, 'default_hooks.checkpoint.interval': 2,
                                        'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False,
                                        'model.backbone.pretrained': str(done / 'epoch_1.pth')})
    assert (cfg / 'iter_2.pth').is_file()
    model = decur.build_model(str(project / 'configs' / 'frozen.py'))
    assert model.decode_head.num_classes == 4 and list(model.backbone.modalities) == ['rgb', 's1', 's2']
    child = Config.fromfile(project / 'configs' / 'pretrain.py')
    assert child.train_dataloader.dataset.split == str(project / 'configs' / '..' / 'splits' / 'train.txt')
