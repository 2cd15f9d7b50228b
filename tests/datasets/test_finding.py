"""Which files are found: by any spelling of a suffix, through links and sub-folders, by patterns, from any list; and what is refused."""
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from helpers import write_tif
from PIL import Image

from decur.datasets import GeoNRWDataset, NYUv2Dataset, PairedRasterDataset, SSL4EODataset
from decur.datasets.finding import FilePlace, read_list, walk
from decur.errors import ConfigError, DataError

#: What macOS writes beside every file on other disks.
APPLEDOUBLE = bytes.fromhex('00051607000200004d6163204f532058') + bytes(100)


def write(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in ('.tif', '.tiff'):
        write_tif(path, np.full((4, 4, 1), value, np.uint8))
    else:
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)


def dataset(root, files, **kwargs):
    entries = {name: dict(channels=1, files=place) for name, place in files.items()}
    return PairedRasterDataset(entries, data_root=str(root), pipeline=[dict(type='LoadModalities')], **kwargs)


def ids(root, files, **kwargs):
    return [sample['sample_id'] for sample in dataset(root, files, **kwargs)]


@pytest.mark.parametrize('suffix, names', [
    ('.tif', ['a.tif', 'b.TIF', 'c.tiff', 'd.TIFF', 'e.Tif']), ('.TIFF', ['a.tif', 'b.TIF', 'c.tiff']),
    ('.jpg', ['a.jpg', 'b.JPG', 'c.jpeg', 'd.JPEG']), ('.png', ['a.png', 'b.PNG']), (('.png', '.tif'), ['a.png', 'b.TIF', 'c.tiff']),
    ('_s1.tif', ['a_s1.tif', 'b_s1.TIF', 'c_s1.tiff'])
])
def test_suffixes_in_any_case(tmp_path, suffix, names):
    for value, name in enumerate(names):
        write(tmp_path / 's' / name, value)
        write(tmp_path / 't' / name, value)
    place = dict(s=dict(folder='s', suffix=suffix), t=dict(folder='t', suffix=suffix))
    found = dataset(tmp_path, place)
    assert [s['sample_id'] for s in found] == [name[0] for name in names]
    assert all(int(s['images'][m].max()) == i for i, s in enumerate(found) if not names[i].lower().endswith(('jpg', 'jpeg')) for m in 'st')
    (tmp_path / 'list.txt').write_text('\n'.join(name[0] for name in names[::-1]))
    assert ids(tmp_path, place, split='list.txt') == [name[0] for name in names[::-1]]


def test_hidden_files_are_no_samples(tmp_path):
    for folder in ('s', 't'):
        for name in ('a.tif', 'site/b.tif'):
            write(tmp_path / folder / name)
            (tmp_path / folder / name).with_name(f'._{Path(name).name}').write_bytes(APPLEDOUBLE)
        write(tmp_path / folder / '.Trashes' / 'c.tif')
        (tmp_path / folder / '.DS_Store').write_bytes(b'x')
    assert ids(tmp_path, dict(s=dict(folder='s', suffix='.tif'), t=dict(folder='t', suffix='.tif'))) == ['a', 'site/b']
    write(tmp_path / 'rooms' / 'train' / 'rgb' / '1.png')
    (tmp_path / 'rooms' / 'train' / 'rgb' / '._1.png').write_bytes(APPLEDOUBLE)
    assert [s['sample_id'] for s in NYUv2Dataset(dict(rgb=dict(channels=1)), str(tmp_path / 'rooms'), layout='esanet', with_label=False,
                                                 pipeline=[])] == ['1']
    write(tmp_path / 'numbered' / 'image' / 'img-005052.PNG')
    (tmp_path / 'numbered' / 'image' / '._img-005052.png').write_bytes(APPLEDOUBLE)
    assert [s['sample_id'] for s in NYUv2Dataset(dict(rgb=dict(channels=1)), str(tmp_path / 'numbered'), layout='numbered',
                                                 with_label=False, pipeline=[])] == ['5052']
    for ending in ('rgb.jp2', 'seg.tif'):
        write_tif(tmp_path / 'nrw' / 'aachen' / f'1_2_{ending}', np.zeros((8, 8, 3 if 'rgb' in ending else 1), np.uint8))
        (tmp_path / 'nrw' / 'aachen' / f'._1_2_{ending}').write_bytes(APPLEDOUBLE)
        (tmp_path / 'nrw' / '._aachen').write_bytes(APPLEDOUBLE)
    assert len(GeoNRWDataset(dict(rgb=dict(channels=3, files=dict(raster='rgb'))), str(tmp_path / 'nrw'), tile=None, pipeline=[])) == 1
    (tmp_path / 'ssl4eo' / 's1' / '000' / 'S1A_IW_GRDH_1SDV_20200604T054639_20200604T054704_032863_03CE9A').mkdir(parents=True)
    (tmp_path / 'ssl4eo' / 's1' / '000' / '.hidden').mkdir()
    (tmp_path / 'ssl4eo' / 's1' / '.AppleDouble').mkdir()
    assert [s['sample_id'] for s in SSL4EODataset(dict(s1=dict(channels=2, files=dict(product='s1'))), str(tmp_path / 'ssl4eo'),
                                                  pipeline=[])] == ['000']


def test_linked_folders_are_followed_once(tmp_path):
    write(tmp_path / 'disk' / 'a.tif')
    write(tmp_path / 's' / 'site1' / 'b.tif')
    (tmp_path / 's' / 'site2').symlink_to(tmp_path / 'disk')
    (tmp_path / 's' / 'again').symlink_to(tmp_path / 's')  # a circle
    place = dict(s=dict(folder='s', suffix='.tif'))
    assert ids(tmp_path, place) == ['site1/b', 'site2/a'] and sorted(walk(tmp_path / 's')) == ['site1/b.tif', 'site2/a.tif']
    (tmp_path / 'list.txt').write_text('site2/a\n')
    assert ids(tmp_path, place, split='list.txt') == ['site2/a']


def test_two_files_of_one_id_are_refused(tmp_path):
    for names, suffix in ((('a.tif', 'a.TIF'), '.tif'), (('b.tif', 'b.tiff'), '.tif'), (('c.png', 'c.tif'), ('.png', '.tif'))):
        for name in names:
            write(tmp_path / names[0] / name)
        with pytest.raises(DataError, match=f'{names[0]}.* and .*{names[1]} are both its file') if 'TIF' not in names[1] else \
                pytest.raises(DataError, match='a.TIF and .*a.tif are both its file'):
            ids(tmp_path, dict(s=dict(folder=names[0], suffix=suffix)))
    for name in ('scene.1.png', 'scene.2.png', 'scene.png', 'SCENE.png'):  # these are four
        write(tmp_path / 'dots' / name)
    assert ids(tmp_path, dict(s=dict(folder='dots', suffix='.png'))) == ['SCENE', 'scene', 'scene.1', 'scene.2']


@pytest.mark.parametrize('name', ['living room 1', 'scene.1', 'site A/a.b c', 'ümläut', '1e5', '#1'])
def test_names_of_all_kinds(tmp_path, name):
    write(tmp_path / 's' / f'{name}.png', 3)
    write(tmp_path / 'label' / f'{name}.png', 1)
    place, label = dict(s=dict(folder='s', suffix='.png')), dict(folder='label', suffix='.png')
    assert ids(tmp_path, place, label=label) == [name]
    if not name.startswith('#'):
        (tmp_path / 'list.txt').write_text(f'# comment\n{name}\n', encoding='utf-8')
        assert ids(tmp_path, place, label=label, split='list.txt') == [name]


def test_names_as_a_mac_writes_them(tmp_path):
    """The list has one code point for the letter, the file two, or the reverse."""
    forms = [unicodedata.normalize(form, 'Köln') for form in ('NFC', 'NFD')]
    for i, (listed, on_disk) in enumerate((forms, forms[::-1])):
        write(tmp_path / str(i) / 's' / f'{on_disk}.png')
        (tmp_path / str(i) / 'list.txt').write_text(listed, encoding='utf-8')
        assert ids(tmp_path / str(i), dict(s=dict(folder='s', suffix='.png')), split='list.txt') == [listed]
        assert ids(tmp_path / str(i), dict(s=dict(folder='s', suffix='.png'))) == [forms[0]]


@pytest.mark.parametrize('data', [
    b'a\nb b\n', b'a\r\nb b\r\n', b'\xef\xbb\xbfa\r\nb b', b'a\rb b\r', b'\n# x\n a \n\nb b\t\n', 'a\nb b'.encode('utf-16'),
    b'\xfe\xff' + 'a\r\nb b\r\n'.encode('utf-16-be')
])
def test_lists_however_they_were_saved(tmp_path, data):
    (tmp_path / 'list.txt').write_bytes(data)
    assert read_list(tmp_path / 'list.txt') == ['a', 'b b']


@pytest.mark.parametrize('data, says', [
    ('a\nö\n'.encode('latin-1'), 'list.txt, line 2: not UTF-8'), ('a\nb'.encode('utf-16-le'), 'zero bytes'), (b'', 'is empty'),
    (b'# nothing\n\n', 'is empty'), (b'\xff\xfea', 'not UTF-8|cannot')
])
def test_lists_that_are_refused(tmp_path, data, says):
    (tmp_path / 'list.txt').write_bytes(data)
    write(tmp_path / 's' / 'a.png')
    with pytest.raises(DataError, match=says):
        ids(tmp_path, dict(s=dict(folder='s', suffix='.png')), split='list.txt')
    with pytest.raises(DataError, match='none.txt cannot be read .No such file'):
        read_list(tmp_path / 'none.txt')


@pytest.mark.parametrize('name', ['../t/a', 's/../../t/a', '/etc/a', '..\\t\\a', 'C:\\a', 'b/..'])
def test_no_name_leads_outside(tmp_path, name):
    for folder in ('s', 't', 'numbered/image', 'cmx/RGB'):
        write(tmp_path / folder / 'a.png')
    (tmp_path / 'list.txt').write_text(name)
    with pytest.raises(DataError, match='outside'):
        ids(tmp_path, dict(s=dict(folder='s', suffix='.png')), split='list.txt')
    (tmp_path / 'cmx' / 'train.txt').write_text(f'RGB/{name}.png\n')
    with pytest.raises(DataError, match='outside'):
        NYUv2Dataset(dict(rgb=dict(channels=1)), str(tmp_path / 'cmx'), layout='cmx', with_label=False, pipeline=[])


def ombria(root, numbers=('0001', '0002')):
    """Folders as OMBRIA has them."""
    for i, number in enumerate(numbers):
        for sensor in '12':
            for part, lower in (('BEFORE', 'before'), ('AFTER', 'after'), ('MASK', 'mask')):
                for split in ('train', 'test'):
                    write(root / f'OmbriaS{sensor}' / split / part / f'S{sensor}_{lower}_{number}.png', i)
                write(root / '2021' / 'ALBANIA' / f'Sentinel{sensor}' / part / f'im{lower}_{int(number)}.png', i)
    return root


def test_patterns_with_a_prefix_and_sub_folders(tmp_path):
    ombria(tmp_path)
    one = dict(s1=dict(folder='OmbriaS1/train/AFTER', pattern='S1_after_{id}.png'),
               s2=dict(pattern='OmbriaS2/train/AFTER/S2_after_{id}.png'))
    label = dict(pattern='OmbriaS1/train/MASK/S1_mask_{id}.png')
    assert ids(tmp_path, one, label=label) == ['0001', '0002']
    both = {f's{k}_{part}': dict(pattern=f'OmbriaS{k}/{{folder}}/{part.upper()}/S{k}_{part}_{{name}}.png')
            for k in '12' for part in ('before', 'after')}
    label = dict(pattern='OmbriaS1/{folder}/MASK/S1_mask_{name}.png')
    found = dataset(tmp_path, both, label=label)
    assert [s['sample_id'] for s in found] == ['test/0001', 'test/0002', 'train/0001', 'train/0002']
    assert [int(s['images']['s2_before'].max()) for s in found] == [0, 1, 0, 1]
    assert found[2]['seg_source'] == str(tmp_path / 'OmbriaS1' / 'train' / 'MASK' / 'S1_mask_0001.png')
    (tmp_path / 'few.txt').write_text('train/0002\ntest/0001\n')
    assert ids(tmp_path, both, label=label, split='few.txt') == ['train/0002', 'test/0001']
    events = dict(s1=dict(pattern='2021/{folder}/Sentinel1/AFTER/imafter_{name}.png'),
                  s2=dict(folder='2021', pattern='{folder}/Sentinel2/AFTER/imafter_{name}.png'))
    assert ids(tmp_path, events) == ['ALBANIA/1', 'ALBANIA/2']
    (tmp_path / 'OmbriaS2' / 'train' / 'AFTER' / 'S2_after_0002.png').unlink()
    with pytest.raises(DataError, match="'train/0002'.*'s2_after' has no file .*OmbriaS2/train/AFTER/S2_after_0002.png"):
        ids(tmp_path, both)


@pytest.mark.parametrize('pattern, names, expected', [
    ('{id}/S1.tif', ['a/S1.tif', 'x/b/S1.TIF'], ['a', 'x/b']), ('S1_{id}.png', ['S1_a.png', 'x/S1_b.png', 'S2_c.png'], ['a', 'x/b']),
    ('{id}/S1_{id}.png', ['a/S1_a.png', 'x/b/S1_b.png', 'c/S1_d.png'], ['a', 'x/b']),
    ('x/{id}_VV.tif', ['x/a_VV.tiff', 'y/b_VV.tif'], ['a']), ('img (1) [{id}]+.png', ['img (1) [a]+.png', 'img 1 a.png'], ['a']),
    (['S1_{id}.png', 'S1_{id}.tif'], ['S1_a.png', 'S1_b.tif'], ['a', 'b'])
])
def test_other_patterns(tmp_path, pattern, names, expected):
    for name in names:
        write(tmp_path / 's' / name)
    found = dataset(tmp_path, dict(s=dict(folder='s', pattern=pattern)))
    assert [s['sample_id'] for s in found] == expected and len({s['sources']['s'] for s in found}) == len(expected)


@pytest.mark.parametrize('files, says', [
    (dict(folder='s', suffixes='.tif'), r"files has \['folder', 'suffixes'\]"), (dict(suffix='.png', pattern='{id}'), 'suffix or pattern'),
    (dict(pattern='S1.png'), 'put {id} where'), (dict(pattern='{name}_{x}.png'), 'put {id} where'),
    (dict(pattern='{id}_{name}'), 'put {id} where'),
    (dict(pattern='x_{folder}_{name}.png'), 'put {id} where'), (dict(pattern='{id:04d}.png'), 'put {id} where')
])
def test_files_that_cannot_be_said(tmp_path, files, says):
    with pytest.raises(ConfigError, match=f"modality 's'.*{says}"):
        FilePlace(tmp_path, files, "modality 's'")


def test_what_is_missing_is_said_when_the_data_set_is_made(tmp_path):
    write(tmp_path / 's' / 'a.png')
    write(tmp_path / 's' / 'b.jp2.png')
    (tmp_path / 'empty').mkdir()
    png = dict(folder='s', suffix='.png')
    for files, says in ((dict(s=dict(folder='s', suffix='.tif')), 'found no samples.*the folder has 2 x .png'),
                        (dict(s=dict(folder='empty', suffix='.tif')), 'found no samples.*the folder has no files at all'),
                        (dict(s=png, t=dict(folder='t', suffix='.png')), "t is not a folder; it should hold the files of modality 't'"),
                        (dict(s=png, t=dict(folder='empty', suffix='.png')), "'a': modality 't' has no file .*empty/a.png")):
        with pytest.raises(DataError, match=says):
            dataset(tmp_path, files)
    with pytest.raises(DataError, match="each of the 2 ids lacks a file; the first, 'a', has no .*empty/a.png"):
        dataset(tmp_path, dict(s=png, t=dict(folder='empty', suffix='.png')), missing='skip')
    with pytest.raises(ConfigError, match="'u' says not where its files are"):
        PairedRasterDataset(dict(s=dict(channels=1, files=png), u=dict(channels=1)), data_root=str(tmp_path), pipeline=[])
    with pytest.raises(DataError, match='it should hold the files of the label'):
        dataset(tmp_path, dict(s=png), label=dict(folder='labels', suffix='.png'))


def test_lists_of_image_and_label_keep_spaces_in_names(tmp_path):
    for name in ('living room 1', '2'):
        write(tmp_path / 'RGB' / f'{name}.JPG')
        write(tmp_path / 'Label' / f'{name}.png', 1)
    (tmp_path / 'train.txt').write_text('RGB/living room 1.JPG Label/living room 1.png\nRGB/2.jpg\tLabel/2.png\n')
    found = NYUv2Dataset(dict(rgb=dict(channels=1)), str(tmp_path), layout='dformer', pipeline=[])
    assert [s['sample_id'] for s in found] == ['living room 1', '2']
