"""Published weights by name: one table of what they are, where they lie, and what their encoders were trained to see.

Data and lookup only; :func:`~decur.weights.sources.fetch` downloads them and :func:`decur.load` builds their encoders.
``python docs/weights_zoo.py`` writes docs/weights_zoo.md from the table.

Sources: the README and the training code of zhu-xlab/DeCUR (commit f190e9a); the pages of the Hugging Face repositories, whose Git LFS
details give digests and sizes (as read in November 2026; none of the files was downloaded by this project); ``torchgeo/models/resnet.py``;
the SegFormer configs of mmseg; the README files of NVlabs/SegFormer and of huaaaliu/RGBX_Semantic_Segmentation (CMX).
"""
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import WeightsError, closest
from ..sensors import S1_BANDS, S2C_BANDS


@dataclass(frozen=True)
class Inputs:
    """What the encoder of one modality was trained to see.

    Attributes:
        bands (tuple[str]): The channels in the order in which the images are given to ``decur``.
        units (str): Of the values that are given.
        scaling (str): What was done to them before the encoder.
        size (str): Size of the images in training, and how they came to it.
        statistics (str): Id in :data:`~decur.sensors.STATISTICS`, where there are such.
        reversed (bool): Whether the encoder sees the channels in the opposite order (images that were read with OpenCV).
    """

    bands: tuple
    units: str
    scaling: str
    size: str
    statistics: str = ''
    reversed: bool = False

    @property
    def seen(self) -> tuple:
        """The bands in the order in which the encoder sees them."""
        return self.bands[::-1] if self.reversed else self.bands


@dataclass(frozen=True)
class Weights:
    """A published file of weights.

    Attributes:
        name (str): What :func:`decur.load` and the configs call it.
        method (str), data (str), encoder (str): How it was trained, on what, and what it is; the last as in
            :mod:`decur.evaluation.published`.
        file (str): What the file is called in the local folder of weights.
        address (str): From where it is downloaded; empty where only a browser can.
        page (str): The page that offers it.
        licence (str): As that page or repository states it.
        size (str): As the page states it.
        sha256 (str): Digest, or its first letters, that the source publishes; empty where none is known.
        digest (str): Where the digest was read.
        config (str): Config of the encoders, with the preprocessing of the training; ``options`` changes it (dotted key to value).
        modalities (tuple[str]): Those of the config that the file has encoders for, in the file's order.
        inputs (dict[str, Inputs]): By modality.
        elsewhere (str): What other libraries do to the inputs instead.
        attention (str): See :func:`~decur.weights.fit.fit`.
        also (tuple[str]): Names elsewhere under which it is found too.
        note (str): What must be known before use; it is said whenever the weights are loaded.
    """

    name: str
    method: str
    data: str
    encoder: str
    file: str
    address: str
    page: str
    licence: str
    config: str
    modalities: tuple
    inputs: Mapping
    size: str = ''
    sha256: str = ''
    digest: str = ''
    options: Mapping = field(default_factory=dict)
    elsewhere: str = ''
    attention: str = 'own'
    also: tuple = ()
    note: str = ''

    @property
    def url(self) -> str:
        """The address; with ``HF_ENDPOINT`` set (a mirror of the Hugging Face hub), the one there."""
        mirror = os.environ.get('HF_ENDPOINT', '').rstrip('/')
        return self.address.replace('https://huggingface.co', mirror, 1) if mirror else self.address


def list_weights(pattern: str = '*') -> list:
    """Names of the published weights that :func:`decur.load` knows, in the order of docs/weights_zoo.md.

    Args:
        pattern (str): ``*`` stands for any text: ``'*ssl4eo*'``. Defaults to all.
    """
    return [name for name in WEIGHTS if fnmatchcase(name, pattern)]


def find_weights(name: str) -> Weights:
    """The entry of a name, of an earlier file name or of another library's name.

    Raises:
        WeightsError: If there is none; names the closest one.
    """
    name = str(name).removeprefix('decur://')
    found = WEIGHTS.get(name) or next((entry for entry in WEIGHTS.values() if name in (entry.file, *entry.also)), None)
    if found is None:
        near = closest(name, [*WEIGHTS, *(other for entry in WEIGHTS.values() for other in entry.also)])
        raise WeightsError(f'no published weights are called {name!r}{near} `decur weights` and decur.list_weights() list the names.')
    return found


def named_weights(source) -> Weights | None:
    """The entry that a source of weights names: ``decur://NAME``, or ``NAME`` where no file is called so; None for any other source.

    Raises:
        WeightsError: If ``decur://`` is followed by no name of the table.
    """
    source = str(source)
    if source.startswith('decur://'):
        return find_weights(source)
    if '/' in source or os.path.exists(source):
        return None
    return next((entry for entry in WEIGHTS.values() if source == entry.name or source in entry.also), None)


def hint(source: str) -> str:
    """The end of the message about a file that does not exist: whether it is published, or which published weights have a like name."""
    published = next((name for name, entry in WEIGHTS.items() if Path(source).name == entry.file), None)
    if published:
        return f'. A file of that name is published: give {published!r} instead, and it is downloaded.'
    if '/' in source or Path(source).suffix in _SUFFIXES:
        return '.'
    near = closest(source, [*WEIGHTS, *(other for entry in WEIGHTS.values() for other in entry.also)])
    return f', and no published weights are called so{near} `decur weights` and decur.list_weights() list their names.'


_SUFFIXES = ('.pth', '.pt', '.safetensors', '.ckpt', '.bin')

_LFS = "Git LFS details on the hub's page"
_IN_NAME = "end of the file's name"
_CROPS = 'views of 224 x 224, cropped (20 to 100 % of the area) from {} and resized'
_S1 = Inputs(
    S1_BANDS, 'dB (ground range detected, GRD)',
    'of each band the lowest and highest 1 % of the image cut; mean ± 2 standard deviations to 0..255; divided by 255',
    _CROPS.format('264 x 264 pixels of 10 m'), 'ssl4eo_s1')
_S2 = Inputs(
    S2C_BANDS, 'reflectance at the top of the atmosphere (L1C) x 10,000',
    'mean ± 2 standard deviations to 0..255; divided by 255. Trained without the offset of 1000 of newer products: where band 10 shows it, '
    'it is taken off first', _CROPS.format('264 x 264 pixels of 10 m (20 and 60 m bands resampled)'),
    'ssl4eo_s2c')
_RGB_BGR = Inputs(('R', 'G', 'B'), '0..255 (8 bit)', 'reversed to B, G, R (the training code read images with OpenCV); divided by 255',
                  _CROPS.format('250 x 250 pixels of 1 m'), reversed=True)
_DEM = Inputs(('DEM', 'DEM', 'DEM'), 'metres',
              '1st to 99th percentile of the image to 0..255; divided by 255; the one channel three times',
              _CROPS.format('250 x 250 pixels of 1 m'))
_IMAGENET = 'the mean (123.675, 116.28, 103.53) and standard deviation (58.395, 57.12, 57.375) of ImageNet'
_SUN = 'views of 224 x 224, cropped (50 to 100 % of the area) and resized'
_OPENCV = f'channels reversed (read with OpenCV), then {_IMAGENET} in the order R, G, B'
_SUN_RGB = Inputs(('R', 'G', 'B'), '0..255 (8 bit)', _OPENCV, _SUN, reversed=True)
_SUN_HHA = Inputs(('disparity', 'height', 'angle'), '0..255 (8 bit)', _OPENCV, _SUN, reversed=True)

_TORCHGEO_S1 = ('TorchGeo: resize to 256 x 256, centre crop of 224, mean (-12.59, -20.26) and standard deviation (5.26, 5.91): about '
                '-2..2 where the encoder was trained on 0..1.')
_TORCHGEO_S2 = ('TorchGeo: resize to 256 x 256, centre crop of 224, divided by 10,000. In the discussion of TorchGeo pull request 2191 the '
                "author of DeCUR says that the mean and standard deviation of the downstream data set were used, and that this one was not "
                'tested.')
_OWN_ATTENTION = ("The published code ran both modalities through the first one's attention, so the second one's, which this file has, was "
                  'never trained. {} has both encoders with the attention that they were trained with.')
_EPOCH = 'The script that wrote the file (src/pretrain/utils/convert_backbone.py) reads checkpoint_0049, though the name says epoch 100.'
_ROOT = 'https://huggingface.co/wangyi111/DeCUR'
_AUTHORS = dict(method='DeCUR', page=_ROOT, licence='CC-BY-4.0')

# Encoder: how the files and the names call it, how the tables call it, the config's part of the name.
_ENCODERS = {'rn50': ('resnet50', 'ResNet50', 'r50'), 'rn50_rda': ('resnet50-rda', 'ResNet50-RDA', 'r50-rda'),
             'vits16': ('vit-s16', 'ViT-S/16', 'vit-s16')}
# Data: how the table calls it, the config, and the inputs by modality; modalities are called otherwise in some files.
_DATA = {'ssl4eo-s12': ('SSL4EO-S12', 'decur/ssl4eo_s1-s2_{}_decur', dict(sar=_S1, optical=_S2)),
         'geonrw': ('GeoNRW', 'decur/geonrw_rgb-dem_{}_decur', dict(rgb=_RGB_BGR, dem=_DEM))}
_IN_FILES = {'optical': 'ms'}
# Published before there were products with the offset; images of newer ones are given to the encoders too.
_NEWER = {'modalities.optical.radiometry': [dict(type='RemoveOffset'), dict(type='ToEightBit', statistics='ssl4eo_s2c')]}
_IN_TORCHGEO = {'rn50_ssl4eo-s12_sar': 'torchgeo_resnet50_sentinel1_grd_decur',
                'rn50_ssl4eo-s12_ms': 'torchgeo_resnet50_sentinel2_all_decur'}
_S1_PREPARED = ('The published script reads Sentinel-1 as 8-bit values that were prepared before. Its loader has the mean (-12.59, -20.26) '
                'and standard deviation (5.26, 5.91) for other values, its preparation those that are given here.')

# File of the authors' repository: size and SHA-256, as its pages state them; empty where the page was not to be had.
_FILES = {
    'rn50_ssl4eo-s12_joint': ('', ''),
    'rn50_ssl4eo-s12_sar': ('94.3 MB', 'f0e69ba2dfecef0e16b42604358f58f84b9c80a5e32b9935dfa70b58faef7a0c'),
    'rn50_ssl4eo-s12_ms': ('', ''),
    'rn50_rda_ssl4eo-s12_joint': ('961 MB', '8313b4d5d2fbaf6e03e260a167a0f1f7d3681c02c8c4ddce86548770e3d402f5'),
    'rn50_rda_ssl4eo-s12_sar': ('178 MB', '3c90ee4d444fb9c15e323c318b9512737995deb19143f83a79b8d392f96e14c2'),
    'rn50_rda_ssl4eo-s12_ms': ('178 MB', '6779eefc627b1968ee63bd2e1b646a794ec30faa2606e0a2ef3a0229abc894df'),
    'vits16_ssl4eo-s12_joint': ('', ''),
    'vits16_ssl4eo-s12_sar': ('86.3 MB', 'a32d6347c83f2b1ee94bc4efed208fa265de787016b0a67318f03dc08ca00d56'),
    'vits16_ssl4eo-s12_ms': ('90.6 MB', '99aa5b9083e0be9df0e6800b3f908bfbeb0ca2beb2e56b6d4ba5053357b0cb94'),
    'rn50_geonrw_joint': ('793,034,653 bytes', '23c9a5c535cdf651cf6ea91189184574d35833e9872fa772da235f4848b340c8'),
    'rn50_geonrw_rgb': ('94,345,157 bytes', '0d985eaf7da9602df5db33d62fdc41326e3e924b33a9c1d802afca56ce28e1ba'),
    'rn50_geonrw_dem': ('94,345,157 bytes', '36b942d156d9d9e0c41abd7ee83b97750e6710e3d1ba919bcb5793c45196bcc8'),
    'rn50_rda_geonrw_joint': ('961 MB', 'ef6f1db2e081254ccc578b172f6a307f991549cef5c1a80129dd2e8b9a433233'),
    'rn50_rda_geonrw_rgb': ('178 MB', '416960d8623dc2bf2ea6b64adc6f66ae95192fa1ed0371469577a3f3cf56bab6'),
    'rn50_rda_geonrw_dem': ('178 MB', 'fdcd42f517894fa23813f533d3769fd98b442721345eb40e48bbfadbbed91e36'),
    'vits16_geonrw_joint': ('723,237,977 bytes', '888cdfc343ec17ca74f17641ffd04094b3d23f360d728ce5b291844cef529b4a'),
    'vits16_geonrw_rgb': ('86,710,373 bytes', '055da08f780e30662084fc12ad491f365c642a999db62199348b05ef4e350b56'),
    'vits16_geonrw_dem': ('86,710,373 bytes', '584bb2fdb9f546696819cefaa11e99b4784c1c372f86102cdca53f1b5a9e9890'),
    'mitb2_sunrgbd_rgb_hha': ('2,419,122,151 bytes', '0dcd7446e4a98e101ee6c702c7d3d20fbefe9e520a8c1c560172ff090b9b2591'),
    'mitb2_sunrgbd_backbone_rgb': ('96,883,433 bytes', 'f1c3b0f055b481bc1e46c2ce0e5ec1bd5f9bf351ce19230408cebf7fefce06e4'),
    'mitb2_sunrgbd_backbone_hha': ('96,883,433 bytes', 'dc97fb4310143dfec88f764795f9a8ff09606f8ce53408509baa627c1deacf84'),
    'mitb5_sunrgbd_rgb_hha': ('3,794,470,215 bytes', 'f2f768875f7b71c45a35416c55e3cd180f5e783762f0c5d9246ce1b0e300a9fd'),
    'mitb5_sunrgbd_backbone_rgb': ('326,087,293 bytes', 'a55a089bf469929aec4f21302926b6dfc9166984ea0fb8c2c43212a9eddc7d85'),
    'mitb5_sunrgbd_backbone_hha': ('326,087,293 bytes', 'e016530f8142766877389f5b3de18046c984591df21be89a6fa5d9760fb42f51'),
}


def _of_authors(name: str, stem: str, epochs: int, **facts) -> Weights:
    """An entry for a file of the authors' repository."""
    size, sha256 = _FILES[stem]
    file = f'{stem}_decur_ep{epochs}.pth'
    return Weights(name=name, file=file, address=f'{_ROOT}/resolve/main/{file}', size=size, sha256=sha256, digest=_LFS if sha256 else '',
                   **_AUTHORS, **facts)


def _remote_sensing() -> list:
    """DeCUR on SSL4EO-S12 and GeoNRW: both encoders, and each alone."""
    out = []
    for data, (title, config, inputs) in _DATA.items():
        for prefix, (encoder, words, part) in _ENCODERS.items():
            both = f'decur_{encoder}_{data}'
            for modality in (None, *inputs):
                notes = []
                if prefix == 'rn50_rda' and modality in ('optical', 'dem'):
                    notes.append(_OWN_ATTENTION.format(both))
                if prefix == 'rn50_rda' and data == 'ssl4eo-s12':
                    notes.append(_EPOCH)
                names = tuple(inputs) if modality is None else (modality, )
                options = {'modalities.rgb.channel_order': 'bgr'} if 'rgb' in names else {}
                if 'optical' in names:
                    options.update(_NEWER)
                stem = f'{prefix}_{data}_{"joint" if modality is None else _IN_FILES.get(modality, modality)}'
                elsewhere = [_S1_PREPARED] if 'sar' in names else []
                if stem in _IN_TORCHGEO:
                    elsewhere.append(f'TorchGeo offers the encoder too, with other preprocessing: {_IN_TORCHGEO[stem]}.')
                out.append(_of_authors(
                    both if modality is None else f'{both}_{modality}', stem, 100, data=title, encoder=words, config=config.format(part),
                    modalities=names, inputs={name: inputs[name] for name in names}, options=options,
                    elsewhere=' '.join(elsewhere),
                    attention='first' if prefix == 'rn50_rda' and modality is None else 'own', note=' '.join(notes)))
    return out


def _rgbd() -> list:
    """DeCUR on SUN-RGBD: both encoders with DeCUR's linear layer, and each alone."""
    out = []
    inputs = dict(rgb=_SUN_RGB, hha=_SUN_HHA)
    for size, config in (('b2', 'decur/decur_sunrgbd'), ('b5', 'decur/sunrgbd_rgb-hha_mit-b5_decur')):
        for modality in (None, 'rgb', 'hha'):
            names = tuple(inputs) if modality is None else (modality, )
            options = {f'modalities.{name}.channel_order': 'bgr' for name in names}
            if modality:  # a file of a backbone alone has no linear layer
                options[f'modalities.{modality}.feature_channels'] = None
            out.append(_of_authors(
                f'decur_mit-{size}_sunrgbd' + (f'_{modality}' if modality else ''),
                f'mit{size}_sunrgbd_' + (f'backbone_{modality}' if modality else 'rgb_hha'), 200, data='SUN-RGBD',
                encoder=f'MiT-{size.upper()}', config=config, modalities=names, inputs={name: inputs[name] for name in names},
                options=options))
    return out


def _torchgeo() -> list:
    """The two files that TorchGeo and TerraTorch load."""
    page = 'https://huggingface.co/torchgeo/decur'
    out = []
    for name, modality, revision, file, size, also, elsewhere, inputs in (
            ('torchgeo_resnet50_sentinel1_grd_decur', 'sar', '9328eeb90c686a88b30f8526ed757b4bc0f12027',
             'rn50_ssl4eo-s12_sar_decur_ep100-f0e69ba2.pth', '94.3 MB',
             ('ResNet50_Weights.SENTINEL1_GRD_DECUR', 'ResNet50_Weights.SENTINEL1_ALL_DECUR', 'ssl4eos12_resnet50_sentinel1_all_decur'),
             _TORCHGEO_S1, _S1),
            ('torchgeo_resnet50_sentinel2_all_decur', 'optical', 'eba7ae5945d482a4319be046d34b552db5dd9950',
             'rn50_ssl4eo-s12_ms_decur_ep100-fc6b09ff.pth', '94.5 MB',
             ('ResNet50_Weights.SENTINEL2_ALL_DECUR', 'ssl4eos12_resnet50_sentinel2_all_decur'), _TORCHGEO_S2, _S2)):
        out.append(Weights(
            name=name, method='DeCUR', data='SSL4EO-S12', encoder='ResNet50', file=file, address=f'{page}/resolve/{revision}/{file}',
            page=page, licence='Apache-2.0', size=size, sha256=file[-12:-4], digest=_IN_NAME, config='decur/ssl4eo_s1-s2_r50_decur',
            modalities=(modality, ), inputs={modality: inputs}, options=_NEWER if modality == 'optical' else {}, elsewhere=elsewhere,
            also=also))
    return out


def _starting_points() -> list:
    """SegFormer's ImageNet encoders and CMX: what the RGB-D models start from or are compared with."""
    page = 'https://github.com/NVlabs/SegFormer'
    inputs = Inputs(('R', 'G', 'B'), '0..255 (8 bit)', _IMAGENET,
                    "not stated with the weights; the scaling is that of mmseg's SegFormer configs")
    out = []
    for size, digest in (('b0_20220624', '7e0fe6dd'), ('b1_20220624', '02e5a6a1'), ('b2_20220624', '66e8bf70'),
                         ('b3_20220624', '13b1141c'), ('b4_20220624', 'd588d980'), ('b5_20220624', '658746d9')):
        file = f'mit_{size}-{digest}.pth'
        options = {'modalities.hha': None, 'modalities.rgb.feature_channels': None, 'modalities.rgb.encoder.arch': size[:2]}
        out.append(Weights(
            name=f'segformer_mit-{size[:2]}_imagenet', method='supervised (SegFormer)', data='ImageNet-1K',
            encoder=f'MiT-{size[:2].upper()}', file=file,
            address=f'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/{file}', page=page,
            licence='NVIDIA Source Code License for SegFormer: non-commercial (research or evaluation) only', sha256=digest,
            digest=_IN_NAME, config='decur/decur_sunrgbd', modalities=('rgb', ), inputs=dict(rgb=inputs), options=options,
            elsewhere="OpenMMLab's conversion of the files that the page offers on Google Drive. The configs of onedl-mmsegmentation "
                      'name the same files at https://mmassets.onedl.ai.'))
    drive = 'https://drive.google.com/file/d/1hlyglGnEB0pnWXfHPtBtCGGlKMDh2K--/view?usp=sharing'
    cmx = Inputs(('R', 'G', 'B'), '0..255 (8 bit)', _OPENCV, 'crops of 480 x 640', reversed=True)
    out.append(Weights(
        name='cmx_mit-b2_nyudv2', method='supervised (CMX)', data='NYU-Depth v2', encoder='CMX MiT-B2', file='cmx_mit-b2_nyudv2.pth',
        address='', page=drive, licence='none stated in the README of the repository (huaaaliu/RGBX_Semantic_Segmentation)',
        config='cmx/nyudv2_rgb-hha_mit-b2_published', modalities=('rgb', 'hha'),
        inputs=dict(rgb=cmx, hha=replace(cmx, bands=('disparity', 'height', 'angle'))),
        note='Only the encoders with their rectification are built by decur.load; the segmentor is loaded by its config.'))
    return out


#: Entries by name.
WEIGHTS = {entry.name: entry for entry in (*_remote_sensing(), *_rgbd(), *_torchgeo(), *_starting_points())}
