"""Train a config: pretraining, classification or segmentation.

Runs on a GPU if PyTorch finds one, else on the CPU. CUDA_VISIBLE_DEVICES=1 chooses the second GPU, CUDA_VISIBLE_DEVICES=-1 the CPU.
"""
from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config', 'work-dir', 'seed', 'allow-missing', 'cfg-options', 'launcher')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='FILE',
                        help='go on from this checkpoint, or from the newest in the work directory that can be read')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='fit the learning rate to the batch size of all processes (docs/scale.md)')
    parser.add_argument('--amp', action='store_true', help='mixed precision (bfloat16, or float16 on a GPU that lacks it)')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from mmengine.registry import RUNNERS

from decur.engine import load_config, prepare
from decur.errors import ConfigError, exit_on_bad_input


@exit_on_bad_input()
def main():
    """Build the runner and train."""
    args = parse_args()
    cfg = prepare(load_config(args.config, args.cfg_options, args.work_dir), args.launcher, amp=args.amp)
    if args.seed is not None:
        cfg.merge_from_dict({'randomness.seed': args.seed})
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise ConfigError(f'{args.config} does not say which batch size its learning rate is for: '
                              'auto_scale_lr=dict(base_batch_size=N).')
        cfg.auto_scale_lr.enable = True
    if args.allow_missing:
        cfg.allow_missing = args.allow_missing
    if args.resume == 'auto':
        cfg.resume = 'auto'
    elif args.resume:
        cfg.resume, cfg.load_from = True, args.resume
    RUNNERS.build(cfg).train()


if __name__ == '__main__':
    main()
