import subprocess
import sys

from helpers import run_code


def python(code):
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=120)


def test_torchvision_imports_after_decur():
    done = python('import decur, torchvision; from torchvision.transforms import v2; print(torchvision.__version__)')
    assert done.returncode == 0, done.stderr


def test_the_workaround_does_nothing_where_torchvision_is_sound():
    code = '''
import sys, types
sys.modules['torchvision'] = types.ModuleType('torchvision')
import importlib.util
spec = importlib.util.spec_from_file_location('shim', 'projects/decur/compat/torchvision_cpu.py')
shim = importlib.util.module_from_spec(spec); spec.loader.exec_module(shim)
print(shim.ensure_importable(), shim._library)
'''
    assert python(code).stdout.strip() == 'False None'


def test_mmseg_configs_are_found_as_a_base(tmp_path):
    (tmp_path / 'child.py').write_text("_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'\n")
    code = f"import decur; from mmengine.config import Config; print(Config.fromfile({str(tmp_path / 'child.py')!r}).model.type)"
    assert run_code(code).stdout.strip().endswith('EncoderDecoder')


def test_importing_the_libraries_prints_nothing():
    code = 'import decur; import mmseg.datasets, mmpretrain.datasets; from mmengine.logging import print_log; print_log("said")'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=180)
    assert (done.stdout, done.stderr) == ('said\n', '')


def test_earlier_names_of_modules():
    """Classes are the same under both names, whichever is imported first; a module that never was is missing."""
    code = '''
from decur.datasets.depth import DepthReader
from decur.datasets import readers
import decur.datasets.prepare.mat as old
import decur.prepare.mat, decur.readers.depth, decur.readers
assert DepthReader is decur.readers.depth.DepthReader and readers.PillowReader is decur.readers.PillowReader
assert old is decur.prepare.mat and old.__name__ == 'decur.prepare.mat'
from decur.datasets.bands import BandReader
from decur.datasets.bigearthnet import S2_BANDS
from decur.synthetic.rooms import generate_room
import decur_worlds.rooms
assert generate_room is decur_worlds.rooms.generate_room
try:
    import decur.datasets.nothing
except ModuleNotFoundError:
    print('good', decur.readers.depth.__spec__.name)
'''
    assert python(code).stdout.strip() == 'good decur.readers.depth'
