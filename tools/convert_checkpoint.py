"""Convert a checkpoint of another project (or another config) so that CONFIG's model loads it with strict=True, or export one encoder.

    python tools/convert_checkpoint.py SRC DST --config CONFIG [--modality NAME]
    python tools/convert_checkpoint.py SRC DST.safetensors --config CONFIG --export torchvision|timm|mit --modality NAME
    python tools/convert_checkpoint.py SRC DST.pth --config CONFIG --export torchgeo|terratorch --modality NAME

What SRC is is found out: published DeCUR (both encoders or one), CMX, SegFormer's MiT, torchvision ResNet, timm ViT, OpenMMLab backbones,
or a checkpoint of this project. What was taken, initialised and left out is printed; nothing is written if a key does not fit.
"""
import json
from pathlib import Path

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', metavar='SRC', help='checkpoint to read (.pth, .pt or .safetensors), or the name of published weights')
    parser.add_argument('dst', metavar='DST', help='file to write (.pth or .safetensors; with --export .safetensors, for TorchGeo and '
                        'TerraTorch, which read with torch.load, .pth)')
    parser.add_argument('--config', required=True, help='the config whose model takes the weights')
    parser.add_argument('--modality', metavar='NAME', help='the modality a single encoder is for; with --export the one to write')
    parser.add_argument('--export', choices=['torchvision', 'timm', 'mit', 'torchgeo', 'terratorch'],
                        help='write one encoder in this library\'s names')
    parser.add_argument('--attention', choices=['own', 'first'], default='own',
                        help='published joint ResNet-RDA: each modality its own attention, or both the first one\'s, which is what the '
                        'published code trained (default: own)')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.cli import output_file
from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.weights import save_file
from decur.weights.convert import convert


@exit_on_bad_input()
def main():
    """Convert, report, write."""
    args = parse_args()
    output_file(args.dst)
    suffixes = ('.pth', '.ckpt') if args.export in ('torchgeo', 'terratorch') else ('.safetensors', )
    if args.export and not args.dst.endswith(suffixes):
        raise ConfigError(f'--export {args.export} writes {suffixes[0]}: call the file {Path(args.dst).stem}{suffixes[0]}, not '
                          f'{Path(args.dst).name}.')
    cfg = load_config(args.config, args.cfg_options)
    checkpoint, report = convert(args.src, cfg, args.modality, args.attention)
    print(f'{args.src}: {report}')
    if args.export:
        from decur.weights.export import export_encoder
        path = save_file(export_encoder(checkpoint['state_dict'], args.modality, args.export), args.dst)
    elif args.dst.endswith('.safetensors'):
        path = save_file(checkpoint['state_dict'], args.dst, dict(decur=json.dumps(checkpoint['meta']['decur'])))
    else:
        path = save_file(checkpoint, args.dst)
    print(f'wrote {path}')


if __name__ == '__main__':
    main()
