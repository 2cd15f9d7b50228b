"""Make a checkpoint ready to be published: weights and description without the state of training, named after its digest.

    python tools/publish_model.py work_dirs/RUN/epoch_100.pth published/decur_sites.pth

writes published/decur_sites-1a2b3c4d.pth, whose name ends in the first eight letters of its own SHA-256 (what PyTorch's hub
checks), and published/decur_sites-1a2b3c4d.json, which says what it is. Optimizer, schedules, logs and the text of the config, which has
paths of your machine, stay behind. The file is loaded again and compared before it gets its name.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', metavar='SRC', help='checkpoint of a run')
    parser.add_argument('dst', metavar='DST.pth', help='where to; the digest is put before the suffix')
    parser.add_argument('--config', help='config of a checkpoint that does not describe itself')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.engine import load_config
from decur.errors import ConfigError, exit_on_bad_input
from decur.weights.publish import publish


@exit_on_bad_input()
def main():
    """Publish and say what was written."""
    args = parse_args()
    if args.cfg_options and not args.config:
        raise ConfigError('--cfg-options change the config: give --config too.')
    cfg = load_config(args.config, args.cfg_options) if args.config else None
    path, card = publish(args.src, args.dst, cfg)
    print(f'wrote {path} ({card["size"] / 2**20:.1f} MiB, {card["parameters"]:,} parameters) and {path.with_suffix(".json")}')
    print(f'sha256 {card["sha256"]}')
    for name, entry in card['modalities'].items():
        bands = ', '.join(map(str, entry['bands'])) if entry.get('bands') else f'{entry["channels"]} channels'
        print(f'  {name}: {bands}; encoder {entry["encoder"]["type"]}')


if __name__ == '__main__':
    main()
