"""Values in label files to classes: every combination of options against a computation value by value, and what is refused."""
import itertools

import numpy as np
import pytest
from helpers import write_tif
from PIL import Image

from decur.datasets import BigEarthNetDataset, GeoNRWDataset, PairedRasterDataset
from decur.datasets.bigearthnet import CLASSES_19
from decur.datasets.geonrw import CLASSES, PALETTE
from decur.datasets.labels import LabelTable, default_palette
from decur.errors import ConfigError, DataError

PIPELINE = [dict(type='LoadModalities'), dict(type='LoadLabelMap')]


class OwnClasses(PairedRasterDataset):
    """A data set that names its classes itself."""
    METAINFO = dict(classes=('sea', 'sand', 'wood', 'town'), palette=[[0, 0, 9], [0, 0, 8], [0, 0, 7], [0, 0, 6]])


def write(root, values, suffix='.png', dtype=np.uint8, **kwargs):
    """A sample whose label has each of ``values`` once."""
    array = np.asarray(values, dtype).reshape(1, -1)
    for folder in ('rgb', 'label'):
        (root / folder).mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.zeros((*array.shape, 3), np.uint8)).save(root / 'rgb' / 'a.png')
    if suffix == '.png':
        Image.fromarray(array).save(root / 'label' / 'a.png', **kwargs)
    else:
        write_tif(root / 'label' / f'a{suffix}', array, **kwargs)
    return root


def dataset(root, kind=PairedRasterDataset, suffix='.png', **kwargs):
    return kind(dict(rgb=dict(channels=3, files=dict(folder='rgb', suffix='.png'))), str(root), label=dict(folder='label', suffix=suffix),
                pipeline=PIPELINE, **kwargs)


def read(root, *args, **kwargs):
    return dataset(root, *args, **kwargs)[0]['gt_seg_map'][0].tolist()


def write_tile(root, values):
    for folder, ending, array in (('img_dir', 'rgb.png', np.zeros((1, len(values), 3), np.uint8)),
                                  ('ann_dir', 'seg.tif', np.array([values], np.uint8))):
        path = root / folder / 'train' / f'1_2_1_{ending}'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path) if ending.endswith('png') else write_tif(path, array)


def by_hand(values, meaning, chosen, groups, ignore):
    """Label by label, from what each value is called."""
    labels, names = [], list(groups) if groups else list(chosen)
    for value in values:
        name, label = meaning.get(value), ignore
        if name is not None and name in chosen:
            if not groups:
                label = names.index(name)
            for group, members in (groups or {}).items():
                if name in members:
                    label = names.index(group)
        labels.append(label)
    return labels


@pytest.mark.parametrize('ignore', [255, 200, 1000, -100])
def test_every_combination_of_options(tmp_path, ignore):
    """Chosen, merged and void classes, the data set's own or the config's, with and without named values."""
    own = OwnClasses.METAINFO['classes']
    count = 0
    for named, reduce, explicit, some, merged in itertools.product((False, True), repeat=5):
        chosen = ('town', 'sea', 'wood') if some and named else own
        groups = dict(dry=['town', 'wood'], wet=['sea']) if merged else None
        if explicit:
            meaning = {0: None, 7: 'town', 3: 'sea', 100: 'wood', 9: 'sand', 4: 'town'}
        else:
            meaning = {i + int(reduce): name for i, name in enumerate(own)}
        values = sorted({*meaning, *([0] if reduce or explicit else []), *([] if explicit or not 0 <= ignore < 256 else [ignore])})
        options = dict(class_groups=groups, reduce_zero_label=reduce, ignore_index=ignore, label_values=meaning if explicit else None)
        if some or not named:
            options['metainfo'] = dict(classes=chosen if named else own)
        found = dataset(write(tmp_path, values), OwnClasses if named else PairedRasterDataset, **options)
        assert found[0]['gt_seg_map'][0].tolist() == by_hand(values, meaning, chosen, groups, ignore), options
        assert found.metainfo['classes'] == tuple(groups or chosen) and found.num_classes == len(groups or chosen)
        if named:
            colours = {name: colour for name, colour in zip(own, OwnClasses.METAINFO['palette'])}
            firsts = [members[0] for members in groups.values()] if groups else chosen
            assert found.metainfo['palette'] == [colours[name] for name in firsts]
        count += 1
    assert count == 32


@pytest.mark.parametrize('background', [False, True])
@pytest.mark.parametrize('some', [False, True])
@pytest.mark.parametrize('merged', [False, True])
def test_geonrw_with_background_chosen_and_merged_classes(tmp_path, background, some, merged):
    """0 is background, or void; a choice of classes shifts nothing."""
    write_tile(tmp_path, range(11))
    everything = (*(['background'] if background else []), *CLASSES)
    chosen = ('buildings', *(['background'] if background else []), 'water', 'forest') if some else everything
    groups = dict(built=['buildings'], rest=[*(['background'] if background else []), 'forest']) if merged else None
    found = GeoNRWDataset(dict(rgb=dict(channels=3, files=dict(raster='rgb'))), str(tmp_path), background=background, pipeline=PIPELINE,
                          metainfo=dict(classes=chosen) if some else None, class_groups=groups)
    meaning = {**dict(enumerate(CLASSES, 1)), **({0: 'background'} if background else {})}
    assert found[0]['gt_seg_map'][0].tolist() == by_hand(range(11), meaning, chosen, groups, 255)
    assert found.metainfo['classes'] == tuple(groups or chosen)
    colours = dict(zip(everything, [*([[0, 0, 0]] if background else []), *PALETTE]))
    assert found.metainfo['palette'] == [colours[members[0]] for members in groups.values()] if groups else [colours[c] for c in chosen]


def test_multi_label_classes_are_chosen_and_merged(sample_data, tmp_path):
    root, index = sample_data / 'bigearthnet_v1', str(tmp_path / 'index')
    entries = dict(s2=dict(channels=12, files=dict(sensor='s2')))
    whole = {s['sample_id']: {c for c, y in zip(CLASSES_19, s['gt_label']) if y}
             for s in BigEarthNetDataset(entries, str(root), index_file=index, pipeline=[])}
    chosen = sorted(set().union(*whole.values()))[:4][::-1]
    some = BigEarthNetDataset(entries, str(root), index_file=index, pipeline=[], metainfo=dict(classes=chosen))
    assert some.metainfo['classes'] == tuple(chosen)
    assert {s['sample_id']: s['gt_label'] for s in some} == {
        name: [float(c in labels) for c in chosen] for name, labels in whole.items() if labels & set(chosen)}
    merged = BigEarthNetDataset(entries, str(root), index_file=index, pipeline=[], class_groups=dict(a=chosen[:2], b=chosen[2:]))
    assert {s['sample_id']: s['gt_label'] for s in merged} == {
        name: [float(bool(labels & set(chosen[:2]))), float(bool(labels & set(chosen[2:])))]
        for name, labels in whole.items() if labels & set(chosen)}


def test_more_than_255_classes_stay_what_they_are(tmp_path):
    classes, values = [f'c{i}' for i in range(847)], [0, 254, 255, 256, 300, 846]
    root = write(tmp_path, values, dtype=np.uint16)
    with pytest.raises(ConfigError, match='ignore_index=255 is one of the 847 classes'):
        read(root, metainfo=dict(classes=classes))
    for ignore in (65535, 847, -1):
        found = dataset(root, metainfo=dict(classes=classes), ignore_index=ignore)
        assert found[0]['gt_seg_map'][0].tolist() == values and found[0]['gt_seg_map'].dtype == (np.int16 if ignore < 0 else np.uint16)
    write(tmp_path, [*values, 65535], dtype=np.uint16)
    assert read(root, metainfo=dict(classes=classes), ignore_index=65535) == [*values, 65535]
    with pytest.raises(DataError, match=r'label id\(s\) \[65535\] are outside the 847 classes'):
        read(root, metainfo=dict(classes=classes), ignore_index=847)
    # 300 classes in the files, two of them wanted: 255 is a value in the files and the ignore index of the labels.
    write(tmp_path, [0, 255, 299], dtype=np.uint16)
    kind = type('Many', (PairedRasterDataset, ), dict(METAINFO=dict(classes=classes[:300])))
    assert read(root, kind, metainfo=dict(classes=('c299', 'c255'))) == [255, 1, 0]


@pytest.mark.parametrize('ids', [(0, 1, 2**31 + 1), (0, -5), (0, 2**32), (0, 256)])
def test_ids_are_checked_before_they_are_cast(tmp_path, ids):
    """All of these are 0 to 3 in 8 or 32 bits."""
    write(tmp_path, ids, '.tif', np.int64)
    with pytest.raises(DataError, match='outside the 2 classes|does not fit'):
        read(tmp_path, suffix='.tif', metainfo=dict(classes=('a', 'b')))


def test_masks_of_0_and_255(tmp_path):
    two = dict(metainfo=dict(classes=('land', 'flood')))
    for values in ([0, 255], [255], [0, 255, 255]):
        write(tmp_path, values)
        with pytest.raises(DataError, match="label_values={0: 'land', 255: 'flood'}"):
            read(tmp_path, **two)
        with pytest.raises(DataError, match="label_values={0: None, 255: 'flood'}"):
            read(tmp_path, metainfo=dict(classes=('flood', )), reduce_zero_label=True)
        assert read(tmp_path, label_values={0: 'land', 255: 'flood'}, **two) == [int(v > 0) for v in values]
        assert read(tmp_path, label_values={'0': 'land', '1': 'flood', '255': None}, **two) == values  # keys as a written config has them
    write(tmp_path, [0, 1, 255])
    assert read(tmp_path, **two) == [0, 1, 255]
    write(tmp_path, [0, 255])
    assert read(tmp_path, metainfo=dict(classes=('a', 'b', 'c'))) == [0, 255]  # one class is missing and one is void: may well be
    with pytest.raises(DataError, match=r'\[255\] are outside those of label_values \(\[0, 1\]\)'):
        read(tmp_path, label_values={0: 'land', 1: 'flood'}, **two)
    Image.fromarray(np.array([[0, 255]], np.uint8) > 0).save(tmp_path / 'label' / 'a.png')
    assert read(tmp_path, **two) == [0, 1]


@pytest.mark.parametrize('how', ['jpg', 'jpg called png', 'jpeg in tiff', 'lossy webp'])
def test_lossy_labels_are_refused(tmp_path, how):
    write(tmp_path, [0])
    label = np.zeros((16, 16), np.uint8)
    label[:, 8:] = 3
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / 'rgb' / 'a.png')
    path = tmp_path / 'label' / {'jpg': 'a.jpg', 'jpg called png': 'a.png', 'jpeg in tiff': 'a.tif', 'lossy webp': 'a.webp'}[how]
    if how == 'jpeg in tiff':
        write_tif(path, label, compress='jpeg')
    else:
        Image.fromarray(label).save(path, format='JPEG' if 'jpg' in how else 'WEBP', quality=75)
    with pytest.raises(DataError, match=f'{path.name}: a label .*(JPEG|WebP|lossy).*PNG or GeoTIFF'):
        read(tmp_path, suffix=path.suffix, metainfo=dict(classes=tuple('abcd')))
    if how == 'jpeg in tiff':
        write_tif(path, label, compress='deflate')
    elif how == 'lossy webp':
        Image.fromarray(np.stack([label] * 3, -1)).save(path, lossless=True)
        with pytest.raises(DataError, match='3 that are equal'):
            read(tmp_path, suffix='.webp', metainfo=dict(classes=tuple('abcd')))
        return
    else:
        path = path.with_suffix('.png')
        Image.fromarray(label).save(path)
    seen = dataset(tmp_path, suffix=path.suffix, metainfo=dict(classes=tuple('abcd')))[0]['gt_seg_map']
    assert np.array_equal(seen, label)


@pytest.mark.parametrize('dtype, nodata, values', [(np.uint8, 0, [0, 1, 2]), (np.int16, -1, [-1, 1, 2]), (np.uint8, 2, [0, 1, 2]),
                                                   (np.float32, -9999., [-9999, 0, 1]), (np.uint8, 200, [0, 200, 1])])
def test_what_a_file_calls_missing_is_ignored_unless_it_is_named(tmp_path, dtype, nodata, values):
    write(tmp_path, values, '.tif', dtype, nodata=nodata)
    classes = dict(metainfo=dict(classes=('a', 'b', 'c')))
    assert read(tmp_path, suffix='.tif', **classes) == [255 if v == nodata else v for v in values]
    names = {int(v): 'abc'[i] for i, v in enumerate(values)}
    assert read(tmp_path, suffix='.tif', label_values=names, **classes) == [0, 1, 2]


def test_floats_are_labels_if_they_are_whole(tmp_path):
    write(tmp_path, [0, 1, np.nan, 2], '.tif', np.float32, nodata=-3.4028234663852886e38)
    abc = dict(metainfo=dict(classes=('a', 'b', 'c')))
    assert read(tmp_path, suffix='.tif', **abc) == [0, 1, 255, 2]
    assert read(tmp_path, suffix='.tif', label_values={0: 'c', 1: 'b', 2: 'a'}, **abc) == [2, 1, 255, 0]  # NaN is not 0
    write(tmp_path, [0, 1, -3.4028234663852886e38, 2], '.tif', np.float32, nodata=-3.4028234663852886e38)
    assert read(tmp_path, suffix='.tif', **abc) == [0, 1, 255, 2]
    for bad, says in (([0, 1.5], '1.5'), ([0, np.inf], 'whole numbers, got inf'), ([0, 3], r'\[3\]')):
        write(tmp_path, bad, '.tif', np.float32)
        with pytest.raises(DataError, match=says):
            read(tmp_path, suffix='.tif', **abc)


def test_colours_are_no_labels(tmp_path):
    write(tmp_path, [0, 1])
    picture = np.array([[[0, 0, 0], [255, 0, 0], [0, 0, 255]]], np.uint8)
    classes = dict(metainfo=dict(classes=('a', 'b')))
    Image.fromarray(picture).save(tmp_path / 'label' / 'a.png')
    with pytest.raises(DataError, match=r'3 with 3 different values: \(0, 0, 0\), \(0, 0, 255\), \(255, 0, 0\).*palette PNG'):
        read(tmp_path, **classes)
    Image.fromarray(picture[..., 0]).convert('LA').save(tmp_path / 'label' / 'a.png')
    with pytest.raises(DataError, match='grey and alpha'):
        read(tmp_path, **classes)
    Image.fromarray(picture).convert('P', palette=Image.Palette.ADAPTIVE, colors=3).save(tmp_path / 'label' / 'a.png')
    assert sorted(read(tmp_path, metainfo=dict(classes=tuple('abc')))) == [0, 1, 2]


@pytest.mark.parametrize('options, says', [
    (dict(classes='water'), r"the string 'water'.*\('water', \)"),
    (dict(classes=('a', 'b', 'a')), r"\['a'\] twice"),
    (dict(classes=('a', 1)), r'\[1\]; every class needs a name'),
    (dict(classes=('a', ' ')), 'every class needs a name'),
    (dict(classes=('a', 'b'), palette=[[0, 0, 0]]), '1 colours for 2 classes'),
    (dict(classes=('a', ), palette=[[0, 0, 256]]), r"colour of class 'a' is \[0, 0, 256\]"),
    (dict(classes=('a', ), palette=[[.1, .2, .3]]), "colour of class 'a'"),
    (dict(classes=('a', 'b'), groups=dict(x='a')), r"\['x'\] need a sequence of class names, for example x=\('a', \)"),
    (dict(classes=('a', 'b'), groups=dict(x=['a'], y=['a'])), 'stand in two groups'),
    (dict(classes=('a', 'b'), groups=dict(x=['q'])), r"names \['q'\]"),
    (dict(own=('a', 'b'), classes=('c', )), r"classes \['c'\] are not among"),
    (dict(classes=('a', 'b'), ignore_index=1), 'ignore_index=1 is one of the 2 classes'),
    (dict(classes=('a', 'b'), ignore_index=70000), 'from -32768 to 65535'),
    (dict(classes=('a', 'b'), ignore_index='255'), 'must be an integer'),
    (dict(classes=('a', 'b'), values={0: 'q'}), "is 'q', which is no class"),
    (dict(classes=('a', 'b'), values={'x': 'a'}), "label_values has 'x'"),
])
def test_what_cannot_be_is_an_error_before_anything_is_read(options, says):
    with pytest.raises(ConfigError, match=says):
        LabelTable(options.pop('own', ()), **options)


def test_names_from_a_file_and_colours_from_nowhere(tmp_path):
    (tmp_path / 'names.txt').write_bytes('\ufeffsea\r\ndry land\r\n'.encode())
    table = LabelTable(classes=str(tmp_path / 'names.txt'))
    assert table.classes == ('sea', 'dry land') and table.index == {0: 0, 1: 1} and table.palette == default_palette(2)
    colours = default_palette(1000)
    assert len({tuple(c) for c in colours}) == 1000 and [0, 0, 0] not in colours and all(0 <= v <= 255 for c in colours for v in c)


def test_a_config_tells_the_classes_that_its_data_set_has(tmp_path):
    from mmengine.config import Config

    from decur.apis.model import label_meta
    write_tile(tmp_path, range(11))
    for options in (dict(background=True), dict(class_groups=dict(wet=['water'], dry=['forest', 'roads'])),
                    dict(background=True, metainfo=dict(classes=('roads', 'background')))):
        config = dict(type='GeoNRWDataset', modalities=dict(rgb=dict(channels=3, files=dict(raster='rgb'))), data_root=str(tmp_path),
                      pipeline=[], **options)
        told = label_meta(Config(dict(test_dataloader=dict(dataset=config))))
        config.pop('type')
        built = GeoNRWDataset(**config).metainfo
        assert told == dict(classes=built['classes'], palette=built['palette'])
