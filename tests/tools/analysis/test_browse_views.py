"""The picture of augmented views: boxes where the crops are, and what has no views is refused."""
import numpy as np
import pytest
from helpers import entries, run_tool, write_pairs
from mmengine.config import Config
from PIL import Image

from decur.errors import ConfigError
from decur.visualization.views import COLOURS, _boxes, _Recorded, build_view_dataset, draw_views


def config(root, **views):
    return Config(dict(modalities=entries(), model=dict(type='MultimodalPretraining', backbone=dict(type='MultimodalBackbone')),
                       train_dataloader=dict(dataset=dict(
                           type='PairedRasterDataset', data_root=str(root), missing='keep', pipeline=[
                               dict(type='LoadModalities'), dict(type='MakeViews', **views), dict(type='PackModalities')]))))


@pytest.mark.parametrize('aligned', [True, False])
def test_the_boxes_are_the_crops(tmp_path, aligned):
    write_pairs(tmp_path)
    dataset = build_view_dataset(config(tmp_path, aligned=aligned, on='device'), seed=3)
    picture, found = draw_views(dataset, [0, 1], cell=64)
    assert found is aligned and picture.size[0] > 3 * 64
    seen = {name: augment.seen for name, augment in dataset.pipeline.transforms[-1].augmentations.items()}
    same = [seen['sar'][view][1] == seen['optical'][view][1] for view in (0, 1)]
    assert same == [aligned, aligned]
    # The views are those of the run: the same seed gives them again without the recording.
    plain = build_view_dataset(config(tmp_path, aligned=aligned), seed=3)
    first, again = dataset[1]['views'], plain[1]['views']
    assert all(np.array_equal(a, b) for name in first for a, b in zip(first[name], again[name]))


def test_a_box_lies_where_the_crop_is():
    from decur.transforms.augmentation import Geometry
    picture = _boxes(np.zeros((400, 400, 3), np.uint8), [Geometry(.25, .5, .5, .25, True, False)])
    rows, columns = (picture == COLOURS[0]).all(axis=2).nonzero()
    assert abs(rows.max() - 299) <= 2 and abs(columns.min() - 200) <= 2  # bottom, left
    assert picture[100 + 8, 299 + 8].any() and not picture[100 - 8, 200 - 8].any()  # the mark is at the right: flipped


def test_the_command(tmp_path):
    write_pairs(tmp_path, ids='ab')
    (tmp_path / 's2' / 'b.tif').unlink()
    text = '\n'.join(f'{key} = {value!r}' for key, value in config(tmp_path).to_dict().items())
    (tmp_path / 'config.py').write_text(text)
    done = run_tool('tools/analysis/browse_views.py', tmp_path / 'config.py', tmp_path / 'out' / 'views.png', '--samples', 5)
    assert '2 of 2 samples, every modality draws its own crops' in done.stdout
    assert Image.open(tmp_path / 'out' / 'views.png').size[1] > 4 * 192  # four rows, of which one says that the optical image is absent
    for arguments, words in ((['views.jpg'], 'ends in .png'), ([tmp_path / 'x.png', '--first', '9'], 'has 2 samples'),
                             ([tmp_path / 'x.png', '--split', 'val'], 'no val_dataloader')):
        done = run_tool('tools/analysis/browse_views.py', tmp_path / 'config.py', *arguments, check=False)
        assert done.returncode == 1 and words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_pipeline_without_views_is_refused(tmp_path):
    cfg = config(tmp_path)
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadModalities')]
    with pytest.raises(ConfigError, match='makes no views'):
        build_view_dataset(cfg)


def test_recording_changes_nothing():
    def augment(image, view, geometry=None, missing=None):
        return image * 2

    recorded = _Recorded(augment)
    assert (recorded(np.ones(3), 0, geometry='g') == 2).all() and recorded.seen[0][1] == 'g'
