"""What is known of sensors: the names of their bands, and the statistics of published data sets."""
from collections.abc import Mapping
from typing import NamedTuple

#: Sentinel-1 GRD, and Sentinel-2 as processing levels L1C (top of the atmosphere) and L2A (surface, without the cirrus band B10).
S1_BANDS = ('VV', 'VH')
S2C_BANDS = ('B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B10', 'B11', 'B12')
S2A_BANDS = tuple(band for band in S2C_BANDS if band != 'B10')
#: Bands by product of SSL4EO-S12, as its files are named.
SSL4EO_BANDS = dict(s1=S1_BANDS, s2a=S2A_BANDS, s2c=S2C_BANDS)
#: Bands by sensor of BigEarthNet, as its files are named.
BIGEARTHNET_BANDS = dict(
    s1=S1_BANDS, s2=('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B11', 'B12'))


def band_name(name: str) -> str:
    """A band's name as :data:`S1_BANDS` and :data:`S2C_BANDS` spell it: ``'B01'`` is ``'B1'``, ``'vv'`` is ``'VV'``."""
    name = str(name).upper()
    return f'B{name[2:]}' if name.startswith('B0') else name


class Statistics(NamedTuple):
    """Mean and standard deviation by band, in the units of the files (reflectance times 10,000, or dB)."""

    bands: tuple
    mean: tuple
    std: tuple


#: Statistics by id. SSL4EO-S12: Wang et al., arXiv 2211.07044, and the loader that belongs to it. BigEarthNet: SeCo and DeCUR's loader.
STATISTICS = dict(
    ssl4eo_s1=Statistics(S1_BANDS, (-12.54847273, -20.19237134), (5.25697717, 5.91150917)),
    ssl4eo_s1_loader=Statistics(S1_BANDS, (-12.59, -20.26), (5.26, 5.91)),
    ssl4eo_s2c=Statistics(
        S2C_BANDS,
        (1605.57504906, 1390.78157673, 1314.8729939, 1363.52445545, 1549.44374991, 2091.74883118, 2371.7172463, 2299.90463006,
         2560.29504086, 830.06605044, 22.10351321, 2177.07172323, 1524.06546312),
        (786.78685367, 850.34818441, 875.06484736, 1138.84957046, 1122.17775652, 1161.59187054, 1274.39184232, 1248.42891965,
         1345.52684884, 577.31607053, 51.15431158, 1336.09932639, 1136.53823676)),
    ssl4eo_s2a=Statistics(
        S2A_BANDS,
        (752.40087073, 884.29673756, 1144.16202635, 1297.47289228, 1624.90992062, 2194.6423161, 2422.21248945, 2517.76053101,
         2581.64687018, 2645.51888987, 2368.51236873, 1805.06846033),
        (1108.02887453, 1155.15170768, 1183.6292542, 1368.11351514, 1370.265037, 1355.55390699, 1416.51487101, 1474.78900051,
         1439.3086061, 1582.28010962, 1455.52084939, 1343.48379601)),
    ssl4eo_v11_s1=Statistics(S1_BANDS, (-12.577, -20.265), (5.179, 5.872)),
    # Of v1.1, with its offset of 1000: the loader of its authors.
    ssl4eo_v11_s2c=Statistics(
        S2C_BANDS,
        (2607.345, 2393.068, 2320.225, 2373.963, 2562.536, 3110.071, 3392.832, 3321.154, 3583.77, 1838.712, 1021.753, 3205.112, 2545.798),
        (786.523, 849.702, 875.318, 1143.578, 1126.248, 1161.98, 1273.505, 1246.79, 1342.755, 576.795, 45.626, 1340.347, 1145.036)),
    ssl4eo_v11_s2a=Statistics(
        S2A_BANDS,
        (1793.243, 1924.863, 2184.553, 2340.936, 2671.402, 3240.082, 3468.412, 3563.244, 3627.704, 3711.071, 3416.714, 2849.625),
        (1160.144, 1201.092, 1219.943, 1397.225, 1400.035, 1373.136, 1429.17, 1485.025, 1447.836, 1652.703, 1471.002, 1365.307)),
    ssl4eo_v11_dem=Statistics(('DEM', ), (435.726, ), (560.326, )),
    # Of TerraMesh, by its loader. Its optical ones are left out: they are of values with and without the offset, mixed.
    terramesh_s1rtc=Statistics(S1_BANDS, (-10.93, -17.329), (4.391, 4.459)),
    terramesh_dem=Statistics(('DEM', ), (651.663, ), (928.168, )),
    terramesh_ndvi=Statistics(('NDVI', ), (.327, ), (.322, )),
    bigearthnet_s1=Statistics(S1_BANDS, (-12.59, -19.22), (5.04, 5.42)),
    bigearthnet_s2=Statistics(
        S2A_BANDS,
        (340.76769064, 429.9430203, 614.21682446, 590.23569706, 950.68368468, 1792.46290469, 2075.46795189, 2218.94553375,
         2266.46036911, 2246.0605464, 1594.42694882, 1009.32729131),
        (554.81258967, 572.41639287, 582.87945694, 675.88746967, 729.89827633, 1096.01480586, 1273.45393088, 1365.45589904,
         1356.13789355, 1302.3292881, 1079.19066363, 818.86747235)))
# Of the tar shards of v1.1, whose values carry no offset: the same but for it (the loader that belongs to them).
STATISTICS.update({f'ssl4eo_v11_shards_{product}': Statistics(known.bands, tuple(round(mean - 1000, 3) for mean in known.mean), known.std)
                   for product in ('s2c', 's2a') for known in [STATISTICS[f'ssl4eo_v11_{product}']]})


def image_bands(entry: Mapping) -> list:
    """The bands of an image that a modality takes: those of its weights but for one that the radiometry inserts."""
    bands = [band_name(band) for band in entry['bands']]
    for step in entry.get('radiometry') or ():
        if step['type'] == 'InsertEmptyBand':
            del bands[step.get('index', 10)]
    return bands
