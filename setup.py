"""Install the project as the package ``decur``."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r"^__version__ = '([^']+)'",
    (ROOT / 'projects' / 'decur' / 'version.py').read_text(), re.M).group(1)

# Why these bounds: requirements/constraints.txt gives the reason of each pin.
INSTALL_REQUIRES = [
    'torch>=2.6',
    'torchvision>=0.21',
    'numpy>=2,<3',
    'onedl-mmengine>=0.10.12,<0.11',
    'onedl-mmcv>=2.3.6,<2.4',
    'onedl-mmsegmentation>=1.4.2,<1.5',
    'onedl-mmpretrain>=1.3.6,<1.4',
    'rasterio>=1.3.10',
    'safetensors>=0.4',
    'scikit-learn>=1.4',
    'scipy>=1.11',
    'rich',
    'tqdm>=4.60',
]

EXTRAS = {
    # TensorBoard scalars by `--cfg-options` or a config.
    'tensorboard': ['tensorboard'],
    # The compact LMDB store, zarr (SSL4EO-S12 v1.1), .mat and parquet files.
    'data': ['lmdb>=1.4', 'zarr>=3,<3.2', 'h5py>=3.10', 'scipy>=1.11',
             'pandas>=2', 'pyarrow>=14'],
    # Tar shards at an address (https, hf); s3 needs s3fs, gs needs gcsfs.
    'stream': ['fsspec', 'aiohttp', 'huggingface_hub>=0.23'],
    # Section D of the supplement; the decoupling study.
    'explain': ['captum>=0.7', 'matplotlib>=3.8', 'jinja2>=3', 'pandas>=2', 'joblib>=1.4'],
    # ONNX export and its check; weights from the Hugging Face hub.
    'deploy': ['onnx>=1.16', 'onnxscript>=0.1', 'onnxruntime>=1.18',
               'huggingface_hub>=0.23'],
    # Tests, lint and the independent figures that tests compare with.
    'dev': ['pytest>=8', 'pytest-xdist>=3.5', 'ruff>=0.6', 'pre-commit>=3.7', 'fvcore',
            'calflops', 'webdataset'],
}
EXTRAS['all'] = sorted({req for reqs in EXTRAS.values() for req in reqs})

setup(
    name='decur',
    version=VERSION,
    description='DeCUR: multimodal self-supervised learning that decouples '
                'common and unique representations, on OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8')
    if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    package_dir={'': 'projects'},
    packages=find_packages('projects', include=['decur', 'decur.*']),
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS,
    zip_safe=False,
)
