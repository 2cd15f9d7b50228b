"""Train a config: pretraining, classification or segmentation."""
import argparse

from mmengine.config import DictAction
from mmengine.runner import Runner

from decur.engine import check_batches, load_config, prepare
from decur.errors import exit_on_bad_input


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; default work_dirs/<config name>')
    parser.add_argument('--resume', nargs='?', const='auto', help='go on from this checkpoint, or from the newest in the work directory')
    parser.add_argument('--amp', action='store_true', help='mixed precision (float16 on a GPU, bfloat16 on a CPU)')
    parser.add_argument('--seed', type=int, help='seed of every random draw; default: the config\'s')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override settings of the config')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how the processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    """Build the runner and train."""
    args = parse_args()
    with exit_on_bad_input():
        cfg = prepare(load_config(args.config, args.cfg_options, args.work_dir), args.launcher, amp=args.amp)
        if args.seed is not None:
            cfg.merge_from_dict({'randomness.seed': args.seed})
        if args.resume:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        runner = Runner.from_cfg(cfg)
        check_batches(runner)
        runner.train()


if __name__ == '__main__':
    main()
