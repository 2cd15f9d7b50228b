"""Scenes and a small fully convolutional model for the tests of whole scenes."""
import numpy as np
import torch
from helpers import tiny_encoder, write_tif
from mmengine.config import Config
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform

from decur.weights.convert import build_model

MODALITIES = dict(
    sar=dict(channels=2, bands=('VV', 'VH'), mean=[-12.0, -20.0], std=[5.0, 5.0], encoder=tiny_encoder(),
             files=dict(folder='s1', suffix='.tif')),
    dem=dict(channels=1, mean=[300.0], std=[100.0], encoder=tiny_encoder(), files=dict(folder='dem', suffix='.tif')))
CLASSES = ('water', 'trees', 'crops & meadow', 'built')
PALETTE = [[0, 0, 255], [0, 128, 0], [255, 200, 0], [200, 30, 30]]
#: Metres; in zone 33, near the border to zone 32.
WEST, NORTH = 300000., 5300000.


def config():
    """A segmentation model whose scores come from the first stage: a pixel's depend on those at most :data:`REACH` pixels away."""
    return Config(dict(
        default_scope='mmseg', modalities=MODALITIES,
        model=dict(type='MultimodalSegmentor', data_preprocessor=dict(type='MultimodalSegDataPreprocessor'),
                   backbone=dict(type='MultimodalBackbone', fusion=dict(type='ConcatFusion')),
                   decode_head=dict(type='MultiLevelFCNHead', in_index=(0, ), num_classes=len(CLASSES), dropout_ratio=0.0,
                                    align_corners=False, loss_decode=dict(type='CrossEntropyLoss')),
                   train_cfg=dict(), test_cfg=dict(mode='whole')),
        test_dataloader=dict(dataset=dict(type='PairedRasterDataset', data_root='.',
                                          metainfo=dict(classes=CLASSES, palette=PALETTE), pipeline=[]))))


#: Stem and block have three or four convolutions of 3x3, at strides up to 2; then the upsampling.
REACH = 16


def checkpoint(path):
    """Random weights whose classes depend on the pixels."""
    torch.manual_seed(0)
    model = build_model(config())
    state = model.state_dict()
    state['decode_head.score.0.weight'] = torch.randn_like(state['decode_head.score.0.weight'])
    torch.save(dict(state_dict=state), path)
    return str(path)


def write_scene(path, array, step=10., west=WEST, north=NORTH, crs='EPSG:32633', **profile):
    """Write ``(H, W[, C])`` as a GeoTIFF whose upper left corner and pixel size are given."""
    write_tif(path, array, crs=crs, transform=from_origin(west, north, step, step), **profile)
    return str(path)


def pair(folder, size=(96, 160), seed=0, **profile):
    """A radar scene and elevation on its grid, with some missing pixels."""
    rng = np.random.default_rng(seed)
    sar = rng.normal(-12, 5, (*size, 2)).astype(np.float32)
    dem = rng.normal(300, 100, (*size, 1)).astype(np.float32)
    sar[:10, :20] = dem[50:53] = -9999
    return dict(sar=write_scene(folder / 'sar.tif', sar, nodata=-9999, **profile),
                dem=write_scene(folder / 'dem.tif', dem, nodata=-9999, **profile))


def easting(shape, step, west, north, crs, to='EPSG:32633'):
    """Easting and northing in ``to`` of the centres of a raster's pixels, ``(H, W)`` each."""
    rows, columns = np.indices(shape)
    x, y = west + (columns + .5) * step, north - (rows + .5) * step
    if crs != to:
        x, y = (np.array(v).reshape(shape) for v in transform(CRS.from_string(crs), CRS.from_string(to), x.ravel(), y.ravel()))
    return x, y
