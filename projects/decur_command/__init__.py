"""The command ``decur``: each sub-command is one of the tools, with the tool's own arguments.

It lies beside the package and not in it: importing the package registers its classes, for which it needs PyTorch and takes seconds. Here
nothing but the standard library is imported until the sub-command is known, so that ``decur --help`` answers at once; the tools do the same
for their own ``--help`` (:mod:`decur_command.arguments`).
"""
import importlib.util
import sys
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Sub-command: its tool, and what it does.
COMMANDS = {
    'init': ('new_project.py', 'a project for your own folders: configs, split, README'),
    'inspect': ('inspect_dataset.py', 'what a folder or a store holds, and the config line to use it'),
    'prepare': ('prepare_dataset.py', 'a public data set, as released, into the files that are read here'),
    'generate': ('generate_dataset.py', 'a synthetic data set'),
    'hha': ('make_hha.py', 'HHA images of depth files'),
    'train': ('train.py', 'train a config: pretraining, classification or segmentation'),
    'test': ('test.py', 'test a checkpoint: mIoU or mAP'),
    'test-modalities': ('test_modalities.py', 'test with all modalities and with each alone'),
    'infer': ('infer.py', 'segment images, or a whole scene to a map'),
    'knn': ('knn.py', 'classify by nearest neighbours in the features'),
    'probe': ('probe.py', 'kNN-5 and linear probe of GEO-Bench, all labels or few'),
    'features': ('analysis/extract_features.py', 'the features of a data set, or of the windows of a scene'),
    'browse': ('analysis/browse_views.py', 'the augmented views of a config, as a picture'),
    'complexity': ('analysis/get_complexity.py', 'parameters, FLOPs, training memory and latency of a model'),
    'suggest-common-dim': ('analysis/suggest_common_dim.py', 'the number of common dimensions that the data ask for'),
    'confusion': ('analysis/confusion_matrix.py', 'the confusion matrix of label maps that test or infer has written'),
    'explain': ('explain.py', 'what common and unique dimensions look at'),
    'decoupling': ('decoupling.py', 'what common and unique dimensions hold, on data with known factors'),
    'weights': ('list_weights.py', 'published weights by name: what they are, and their download'),
    'convert': ('convert_checkpoint.py', 'weights of another project for a config; an encoder for another library'),
    'publish': ('publish_model.py', 'a checkpoint ready to be published: weights and description, named after its digest'),
    'export': ('export_onnx.py', 'a segmentation model as ONNX'),
    'table': ('table.py', 'the results of tests in the tables of the paper'),
    'quickstart': ('quickstart.py', 'generate, pretrain, transfer and compare, in about ten minutes'),
}


def tools() -> Path:
    """The folder of the tools, of the installed package or of the checkout; found without importing the package."""
    package = Path(importlib.util.find_spec('decur').origin).resolve().parent
    return next(place for place in (package / '.mim' / 'tools', package.parents[1] / 'tools') if place.is_dir())


def usage() -> str:
    """What ``decur --help`` prints."""
    width = max(map(len, COMMANDS))
    lines = '\n'.join(f'  {name:<{width}}  {about}' for name, (_, about) in COMMANDS.items())
    return (f'usage: decur COMMAND [arguments]\n\n{lines}\n\ndecur COMMAND --help tells the arguments of a command, decur --version the '
            'version.\nA config is a file, or a config of the package by its name: decur train configs/decur/decur_sunrgbd.py')


def main(arguments: list | None = None) -> None:
    """Run a sub-command as if its tool had been called.

    Args:
        arguments (list[str], optional): What follows ``decur`` on the command line. Defaults to those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ('-h', '--help'):
        print(usage())
        sys.exit(0 if arguments else 2)
    if arguments[0] in ('-V', '--version'):
        try:
            print(f'decur {version("decur")}')
        except PackageNotFoundError:
            print('decur (not installed)')
        return
    if arguments[0] not in COMMANDS:
        near = get_close_matches(arguments[0], COMMANDS, n=1)
        hint = f' (did you mean {near[0]!r}?)' if near else ''
        sys.exit(f'error: decur has no command {arguments[0]!r}{hint}. decur --help lists them.')
    tool = tools() / COMMANDS[arguments[0]][0]
    # As when the file is run by name: its own folder is the first place to import from, and it is the main module. runpy would do it
    # too, but puts the file's name in the place of the command's, with which its messages begin.
    sys.path.insert(0, str(tool.parent))
    sys.argv = [f'decur {arguments[0]}', *arguments[1:]]
    spec = importlib.util.spec_from_file_location('__main__', tool)
    module = importlib.util.module_from_spec(spec)
    module.__spec__ = None
    sys.modules['__main__'] = module
    spec.loader.exec_module(module)
