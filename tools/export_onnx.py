"""Export a segmentation model (FCN, CMX) to ONNX and check it against PyTorch in ONNX Runtime."""
from decur.apis import check_onnx, export_onnx, load_model
from decur.cli import add_argument, make_parser, output_file
from decur.errors import WeightsError, exit_on_bad_input


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config', 'checkpoint')
    parser.add_argument('out', help='the .onnx file to write')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('H', 'W'), help='height and width in pixels')
    parser.add_argument('--dynamic', action='store_true', help='let batch, height and width vary (multiples of 32)')
    parser.add_argument('--opset', type=int, default=18, help='version of the ONNX operators (default: 18)')
    parser.add_argument('--tolerance', type=float, default=1e-3, help='largest difference of logits, relative to the largest logit')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


@exit_on_bad_input()
def main():
    """Export, check."""
    args = parse_args()
    output_file(args.out)
    model, _ = load_model(args.config, args.checkpoint, options=args.cfg_options)
    export_onnx(model, args.out, args.size, args.dynamic, args.opset)
    sizes = [args.size] + ([(args.size[0] + 32, args.size[1] + 64)] if args.dynamic else [])
    found = check_onnx(model, args.out, sizes)
    print(f'{args.out}: largest difference of logits {found["difference"]:.2e} (largest logit {found["scale"]:.2f}), '
          f'{100 * found["agreement"]:.3f} % of pixels of the same class')
    if found['difference'] > args.tolerance * max(found['scale'], 1.):
        raise WeightsError(f'{args.out}: ONNX Runtime and PyTorch differ by more than the tolerance ({args.tolerance:g} of the largest '
                           'logit); the file is not what the checkpoint is.')


if __name__ == '__main__':
    main()
