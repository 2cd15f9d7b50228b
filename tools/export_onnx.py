"""Export a segmentation model (FCN, CMX) to ONNX and check it against PyTorch in ONNX Runtime."""
import argparse
import sys

from mmengine.config import DictAction

from decur.apis import check_onnx, export_onnx, load_model
from decur.errors import ConfigError, DataError, WeightsError


def main():
    """Parse the command line, export, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of a segmentation model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', help='the .onnx file to write')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('H', 'W'), help='height and width in pixels')
    parser.add_argument('--dynamic', action='store_true', help='let batch, height and width vary (multiples of 32)')
    parser.add_argument('--opset', type=int, default=18)
    parser.add_argument('--tolerance', type=float, default=1e-3, help='largest difference of logits, relative to the largest logit')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override settings of the config')
    args = parser.parse_args()
    try:
        model, _ = load_model(args.config, args.checkpoint, options=args.cfg_options)
        export_onnx(model, args.out, args.size, args.dynamic, args.opset)
        sizes = [args.size] + ([(args.size[0] + 32, args.size[1] + 64)] if args.dynamic else [])
        found = check_onnx(model, args.out, sizes)
    except (ConfigError, DataError, WeightsError) as error:
        sys.exit(f'error: {error}')
    print(f'{args.out}: largest difference of logits {found["difference"]:.2e} (largest logit {found["scale"]:.2f}), '
          f'{100 * found["agreement"]:.3f} % of pixels of the same class')
    if found['difference'] > args.tolerance * max(found['scale'], 1.):
        sys.exit('error: ONNX Runtime and PyTorch differ by more than the tolerance')


if __name__ == '__main__':
    main()
