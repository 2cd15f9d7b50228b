"""Lists and files that lead out of a data set are refused."""
import numpy as np
import pytest
from helpers import entries, write_pairs, write_tif

from decur.datasets import PairedRasterDataset, RasterioReader
from decur.errors import DataError
from decur.prepare.engine import prepare
from decur.prepare.rgbd import RGBDRelease


@pytest.fixture
def root(tmp_path):
    write_pairs(tmp_path / 'elsewhere', ids=('secret', ))
    return write_pairs(tmp_path / 'data')


def dataset(root, **kwargs):
    return PairedRasterDataset(modalities=entries(), data_root=str(root), pipeline=[], **kwargs)


def test_a_linked_file_does_not_lead_outside_but_a_linked_folder_may(root, tmp_path):
    (root / 's1' / 'c.tif').unlink()
    (root / 's1' / 'c.tif').symlink_to(tmp_path / 'elsewhere' / 's1' / 'secret.tif')
    with pytest.raises(DataError, match="'c'.*outside"):
        len(dataset(root))
    (root / 's1' / 'c.tif').unlink()
    (root / 's2' / 'c.tif').unlink()
    (root / 's1').rename(tmp_path / 'another_disk')
    (root / 's1').symlink_to(tmp_path / 'another_disk')
    (root / 'list.txt').write_text('a\nb\nd\n')
    assert len(dataset(root, split='list.txt')) == 3


VRT = """<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Float32" band="1"{sub}>
<SimpleSource><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
{code}</VRTRasterBand></VRTDataset>"""


def test_a_raster_does_not_lead_to_another(tmp_path):
    inside, outside = tmp_path / 'in' / 'source.tif', tmp_path / 'out' / 'secret.tif'
    for path in (inside, outside):
        write_tif(path, np.arange(16, dtype=np.float32).reshape(4, 4))
    read = RasterioReader()

    def vrt(name, relative=1, suffix='.vrt', sub='', code=''):
        path = tmp_path / 'in' / f'virtual{suffix}'
        path.write_text(VRT.format(name=name, relative=relative, sub=sub, code=code))
        return path

    assert np.array_equal(read(vrt('source.tif'))[..., 0], np.arange(16).reshape(4, 4))
    assert np.array_equal(read(vrt(inside, 0))[..., 0], np.arange(16).reshape(4, 4))
    for path in (vrt('../out/secret.tif'), vrt(outside, 0), vrt('/vsicurl/http://127.0.0.1/x.tif', 0)):
        path = vrt(path.read_text().split('>')[3].split('<')[0], 0)
        with pytest.raises(DataError, match='not in its folder'):
            read(path)
    with pytest.raises(DataError, match='computes'):
        read(vrt('source.tif', sub=' subClass="VRTDerivedRasterBand"', code='<PixelFunctionType>sqrt</PixelFunctionType>'))
    for suffix in ('.tif', '.TIF', '.img', ''):
        with pytest.raises(DataError, match='cannot be read'):
            read(vrt('source.tif', suffix=suffix))


@pytest.mark.parametrize('stem', ['/tmp/outside', '../outside', 'a/../../outside'])
def test_preparing_writes_below_its_folder_only(tmp_path, stem):
    class Release(RGBDRelease):
        dataset, num_classes = 'made up', 3

        def samples(self):
            return [dict(stem=stem, split='train', intrinsics=[1, 1, 1, 1], has_raw=False, rgb_suffix='.png')]

        def read(self, sample):
            raise AssertionError('nothing is read')

    with pytest.raises(DataError, match='outside'):
        prepare(Release(tmp_path), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
