import numpy as np
import pytest
import torch
from helpers import entries, write_pairs, write_tif
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from rasterio.transform import from_origin
from torch.utils.data import DataLoader

import decur  # noqa: F401
from decur.datasets import PairedRasterDataset, multimodal_collate, tile_windows
from decur.engine import EpochInfiniteSampler, EpochSampler
from decur.errors import ConfigError, DataError

VIEWS = [dict(type='LoadModalities'), dict(type='MakeViews'), dict(type='PackModalities')]
PLAIN = [dict(type='LoadModalities'), dict(type='PackModalities')]


@pytest.fixture
def root(tmp_path):
    return write_pairs(tmp_path)


def build(root, **kwargs):
    return PairedRasterDataset(**dict(dict(modalities=entries(False), data_root=str(root), pipeline=PLAIN), **kwargs))


def test_pairs_by_name_whatever_the_order_of_listing(root):
    dataset = build(root)
    assert [dataset.get_data_info(i)['sample_id'] for i in range(4)] == ['a', 'b', 'c', 'd']
    item = dataset[1]
    assert item['inputs']['sar'].shape == (2, 32, 40) and item['inputs']['optical'].shape == (13, 32, 40)
    assert item['data_samples'].sample_id == 'b'


def test_split_file_and_folder_prefix(root, tmp_path):
    (root / 'val.txt').write_text('c\n# comment\n\na\n')
    assert [s['sample_id'] for s in build(root, split='val.txt').load_data_list()] == ['c', 'a']
    for folder in ('s1', 's2'):
        (root / 'train' / folder).mkdir(parents=True)
        (root / folder / 'b.tif').rename(root / 'train' / folder / 'b.tif')
    assert [s['sample_id'] for s in build(root, folder_prefix='train/').load_data_list()] == ['b']
    (root / 'twice.txt').write_text('a\na\n')
    with pytest.raises(DataError, match='names 1 id.s. twice'):
        build(root, split='twice.txt')


def test_a_missing_file_is_an_error_a_skip_or_an_absent_modality(root):
    (root / 's2' / 'c.tif').unlink()
    with pytest.raises(DataError, match="'c'.*'optical'.*c.tif"):
        build(root)
    skipped = build(root, missing='skip')
    assert len(skipped) == 3 and list(skipped.skipped) == ['c']
    kept = build(root, missing='keep', pipeline=VIEWS)
    assert len(kept) == 4
    batch = multimodal_collate([kept[i] for i in range(4)])
    assert batch['inputs']['optical'][0].shape == (4, 13, 24, 24) and batch['inputs']['optical'][0].dtype != torch.float64
    assert batch['data_samples'][2].present == dict(sar=True, optical=False)
    assert batch['inputs']['optical'][1][2].eq(0).all() and not batch['inputs']['sar'][1][2].eq(0).all()


def test_errors_name_the_root_the_folder_and_the_modality(root):
    with pytest.raises(DataError, match='nowhere'):
        build(root / 'nowhere')
    with pytest.raises(ConfigError, match="'thermal' says not where"):
        build(root, modalities=dict(thermal=dict(channels=1)))
    with pytest.raises(DataError, match='s9'):
        build(root, modalities=dict(sar=dict(channels=2, files=dict(folder='s9', suffix='.tif'))))
    (root / 'empty').mkdir()
    with pytest.raises(DataError, match='found no samples'):
        build(root, modalities=dict(sar=dict(channels=2, files=dict(folder='empty', suffix='.tif'))))


def test_wrong_band_count_names_file_and_shape(root):
    wrong = entries(False)
    wrong['optical']['channels'] = 12
    wrong['optical'].pop('mean')
    with pytest.raises(DataError, match=r"a\.tif: modality 'optical' has 12 channels, the file has shape \(32, 40, 13\)"):
        build(root, modalities=wrong)[0]


def test_subsets_are_drawn_without_replacement_and_seeded(root):
    ids = lambda d: [d.get_data_info(i)['sample_id'] for i in range(len(d))]  # noqa: E731
    assert len(set(ids(build(root, num_samples=3)))) == 3
    assert ids(build(root, num_samples=2, subset_seed=5)) == ids(build(root, num_samples=2, subset_seed=5))
    assert len({tuple(ids(build(root, num_samples=2, subset_seed=s))) for s in range(20)}) > 2
    assert len(build(root, fraction=0.5)) == 2
    with pytest.raises(ConfigError, match='num_samples=9.*only 4'):
        build(root, num_samples=9)


def times(size, windows):
    count = np.zeros(size, int)
    for row, column, height, width in windows:
        assert row >= 0 and column >= 0 and row + height <= size[0] and column + width <= size[1]
        count[row:row + height, column:column + width] += 1
    return count


def test_tiles_cover_the_image_once_where_it_is_a_multiple():
    assert (times((64, 96), tile_windows((64, 96), tile_size=(32, 32))) == 1).all()
    with pytest.raises(ConfigError, match='no tile of 100x100'):
        tile_windows((64, 64), tile_size=(100, 100))


@pytest.mark.parametrize('size, options', [
    ((600, 600), dict(tile_size=(512, 512), stride=(256, 256))), ((100, 100), dict(tile_size=(64, 64))),
    ((70, 131), dict(tile_size=(32, 20), stride=(31, 7))), ((65, 33), dict(tile_size=(64, 32))), ((64, 32), dict(tile_size=(64, 32)))
])
def test_the_remainder_is_a_last_window_that_is_shifted_back(size, options):
    windows = tile_windows(size, **options)
    assert times(size, windows).all() and len(set(windows)) == len(windows)
    # Those that fit without shifting are the same, and nothing else is left out.
    dropped = tile_windows(size, remainder='drop', **options)
    assert set(dropped) <= set(windows) and all(row % options.get('stride', options['tile_size'])[0] == 0 for row, _, _, _ in dropped)
    assert times(size, dropped).all() == (dropped == windows)


@pytest.mark.parametrize('width', [224, 200, 131])
@pytest.mark.parametrize('stride', [None, (28, 28), (40, 5)])
@pytest.mark.parametrize('share', [.25, .4])
def test_blocks_never_share_a_pixel_and_are_covered(width, stride, share):
    seen = {block: times((100, width), tile_windows((100, width), tile_size=(48, 32), stride=stride, blocks=block, test_share=share)) > 0
            for block in ('train', 'test')}
    assert not (seen['train'] & seen['test']).any() and (seen['train'] | seen['test']).all()
    assert seen['test'].mean() == pytest.approx(share, abs=.5 / width)


@pytest.mark.parametrize('options', [dict(blocks='val'), dict(remainder='pad'), dict(test_share=1.), dict(stride=(0, 4)),
                                     dict(tile_size=(0, 4)), dict(tile_size=8), dict(tile_size=(8, )), dict(tile_size=(8, 8, 8)),
                                     dict(tile_size=(8.5, 8)), dict(tile_size='88'), dict(stride=4)])
def test_tiles_that_cannot_be(options):
    with pytest.raises(ConfigError, match='tile: '):
        tile_windows((64, 64), **dict(dict(tile_size=(8, 8)), **options))


def test_what_tiles_leave_out_is_said_and_pixels_can_be_counted_once(tmp_path, caplog):
    from mmengine.logging import MMLogger
    write_tif(tmp_path / 's' / 'a.tif', np.arange(100 * 90, dtype=np.float32).reshape(100, 90))
    write_tif(tmp_path / 'label' / 'a.tif', np.random.default_rng(0).integers(0, 2, (100, 90), dtype=np.uint8))
    make = dict(modalities=dict(s=dict(channels=1, files=dict(folder='s', suffix='.tif'))), label=dict(folder='label', suffix='.tif'),
                metainfo=dict(classes=('a', 'b')), pipeline=[dict(type='LoadModalities'), dict(type='LoadLabelMap')])
    MMLogger.get_current_instance().addHandler(caplog.handler)
    try:
        build(tmp_path, tile=dict(tile_size=(64, 64)), **make)
        assert 'leave out' not in caplog.text
        build(tmp_path, tile=dict(tile_size=(64, 64), remainder='drop'), **make)
        assert 'leave out 54.5 % of an image of 100x90 pixels' in caplog.text
        caplog.clear()
        build(tmp_path, tile=dict(tile_size=(50, 20), stride=(50, 30), blocks='train', test_share=1 / 3), **make)
        assert 'leave out 16.7 % of an image of 100x90 pixels (of its train block)' in caplog.text
    finally:
        MMLogger.get_current_instance().removeHandler(caplog.handler)
    for stride in ((64, 64), (40, 13)):
        tile = dict(tile_size=(64, 64), stride=stride, count_once=True)
        counted = np.concatenate([s['images']['s'][..., 0][s['gt_seg_map'] != 255] for s in build(tmp_path, tile=tile, **make)])
        assert len(counted) == 9000 and len(np.unique(counted)) == 9000
    with pytest.raises(ConfigError, match=r"tile has \['size'\]; it takes tile_size"):
        build(tmp_path, tile=dict(size=(64, 64)), **make)
    with pytest.raises(ConfigError, match="sample 'a': no tile of 512x512"):
        build(tmp_path, tile=dict(tile_size=(512, 512)), **make)


def test_tiled_samples_equal_cuts_of_the_whole(root):
    whole, tiled = build(root), build(root, tile=dict(tile_size=(16, 20)))
    assert len(tiled) == 16
    assert torch.equal(tiled[3]['inputs']['optical'], whole[0]['inputs']['optical'][:, 16:32, 20:40])


def loader(dataset, sampler, workers):
    return DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers, collate_fn=multimodal_collate)


def test_views_depend_on_seed_epoch_and_sample_only(root):
    """The same epoch is the same with 0 and 2 workers, another epoch or seed is not, and the caller's generators are left alone."""

    def epoch(number, workers, seed=3):
        dataset = build(root, pipeline=VIEWS)
        sampler = EpochSampler(dataset, seed=seed)
        sampler.set_epoch(number)
        return torch.cat([b['inputs']['sar'][0] for b in loader(dataset, sampler, workers)])

    state = np.random.get_state()[1].copy()
    first = epoch(0, 0)
    assert np.array_equal(state, np.random.get_state()[1])
    assert torch.equal(first, epoch(0, 2))
    assert not torch.equal(first, epoch(1, 0)) and not torch.equal(first, epoch(0, 0, seed=4))


def test_infinite_sampler_resumes_by_skipping(root):
    dataset = build(root)
    draws = lambda s, n: [x for x, _ in zip(s, range(n))]  # noqa: E731
    whole = draws(EpochInfiniteSampler(dataset, seed=1), 30)
    assert sorted(x % 4 for x in whole[:4]) == [0, 1, 2, 3] and [x // 4 for x in whole[:12]] == [0] * 4 + [1] * 4 + [2] * 4
    late = EpochInfiniteSampler(dataset, seed=1)
    late.skip(13)
    assert draws(late, 17) == whole[13:]


def test_processes_share_the_epoch_without_overlap(root, monkeypatch):
    dataset = build(root)
    seen = []
    for rank in range(3):
        monkeypatch.setattr('decur.engine.samplers.get_dist_info', lambda rank=rank: (rank, 3))
        seen.append([x % 4 for x in EpochSampler(dataset, seed=0)])
    assert [len(s) for s in seen] == [2, 2, 2] and {x for s in seen for x in s} == {0, 1, 2, 3}


def test_segmentation_pipeline_concatenates_and_maps_labels(root):
    init_default_scope('mmseg')
    pipeline = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities'), dict(type='PackSegInputs')]
    cfg = dict(
        type='PairedRasterDataset', modalities=entries(False), data_root=str(root), label=dict(folder='label', suffix='.png'),
        metainfo=dict(classes=('w', 'x', 'y', 'z')), pipeline=pipeline)
    item = DATASETS.build(cfg)[0]
    assert item['inputs'].shape == (15, 32, 40)
    label = item['data_samples'].gt_sem_seg.data
    assert label.shape == (1, 32, 40) and set(label.unique().tolist()) == {0, 1, 2, 3}
    shifted = DATASETS.build(dict(cfg, reduce_zero_label=True, metainfo=dict(classes=('x', 'y', 'z'))))[0]['data_samples'].gt_sem_seg.data
    assert torch.equal(shifted, torch.where(label == 0, 255, label - 1))
    with pytest.raises(DataError, match=r"label id\(s\) \[3\] are outside the 3 classes \(0..2"):
        DATASETS.build(dict(cfg, metainfo=dict(classes=('w', 'x', 'y'))))[0]


def test_modalities_of_other_sizes_are_resized_or_refused(tmp_path):
    write_tif(tmp_path / 'a' / 'x.tif', np.zeros((20, 30, 1), np.float32))
    write_tif(tmp_path / 'b' / 'x.tif', np.arange(150, dtype=np.float32).reshape(10, 15), transform=from_origin(0, 0, 20, 20))
    both = {n: dict(channels=1, files=dict(folder=n, suffix='.tif')) for n in 'ab'}
    both['b']['interpolation'] = 'nearest'
    run = lambda **kw: build(tmp_path, modalities=both, pipeline=[dict(type='LoadModalities'), dict(type='ConcatModalities', **kw)])[0]  # noqa: E731
    image = run()['img']
    assert image.shape == (20, 30, 2) and set(np.unique(image[..., 1])) == set(range(150))
    with pytest.raises(DataError, match="modality 'b' is"):
        run(resize=False)


@pytest.mark.parametrize('size, label', [((30, 20), None), ((20, 20), None), ((20, 30), (30, 20)), ((10, 15), (20, 28))])
def test_images_that_would_be_squeezed_are_refused(tmp_path, size, label):
    """Of a rotated or cropped image the pixels lie elsewhere, though it can be given the size of the others."""
    for folder, shape in (('a', (20, 30)), ('b', size), *([('label', label)] if label else [])):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / folder / 'x.png')
    pipeline = [dict(type='LoadModalities'), *([dict(type='LoadLabelMap')] if label else []), dict(type='ConcatModalities')]
    options = dict(label=dict(folder='label', suffix='.png'), metainfo=dict(classes=('v', 'w'))) if label else {}
    both = {n: dict(channels=1, files=dict(folder=n, suffix='.png')) for n in 'ab'}
    with pytest.raises(DataError, match="sample 'x': modality '[ab]' has .* it would be squeezed"):
        build(tmp_path, modalities=both, pipeline=pipeline, **options)[0]


@pytest.mark.parametrize('size', [(10, 15), (7, 10), (7, 11), (61, 91)])
def test_resolutions_that_do_not_divide_are_resized(tmp_path, size):
    for folder, shape in (('a', (20, 30)), ('b', size)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / folder / 'x.png')
    both = {n: dict(channels=1, files=dict(folder=n, suffix='.png')) for n in 'ab'}
    image = build(tmp_path, modalities=both, pipeline=[dict(type='LoadModalities'), dict(type='ConcatModalities')])[0]['img']
    assert image.shape == (20, 30, 2)


def test_a_data_set_in_memory_gives_the_same_samples(root):
    label = dict(folder='label', suffix='.png')
    pipeline = [dict(type='LoadModalities'), dict(type='LoadLabelMap'), dict(type='ConcatModalities'), dict(type='PackSegInputs')]
    init_default_scope('mmseg')
    for options in (dict(), dict(tile=dict(tile_size=(16, 16)))):
        kwargs = dict(options, label=label, pipeline=pipeline, metainfo=dict(classes=tuple('abcd')))
        plain, kept = list(build(root, **kwargs)), build(root, in_memory=True, **kwargs)
        list(kept)
        for folder in ('s1', 's2', 'label'):
            (root / folder).rename(root / f'{folder}_away')
        for one, two in zip(plain, list(kept), strict=True):  # read once: the files are not looked at again
            assert torch.equal(one['inputs'], two['inputs'])
            assert torch.equal(one['data_samples'].gt_sem_seg.data, two['data_samples'].gt_sem_seg.data)
        for folder in ('s1', 's2', 'label'):
            (root / f'{folder}_away').rename(root / folder)
