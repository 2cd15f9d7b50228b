"""Export a segmentation model (FCN, CMX) to ONNX and check it against PyTorch in ONNX Runtime."""
from decur_command.arguments import add_argument, answer_help, make_parser


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


answer_help(parse_args)  # before the imports that take seconds

from decur.apis import export_checked, load_model
from decur.cli import output_file
from decur.errors import exit_on_bad_input


@exit_on_bad_input()
def main():
    """Export, check."""
    args = parse_args()
    output_file(args.out)
    model, _ = load_model(args.config, args.checkpoint, options=args.cfg_options)
    found = export_checked(model, args.out, args.size, args.dynamic, args.opset, args.tolerance)
    print(f'{args.out}: largest difference of logits {found["difference"]:.2e} (largest logit {found["scale"]:.2f}), '
          f'{100 * found["agreement"]:.3f} % of pixels of the same class')


if __name__ == '__main__':
    main()
