"""Test a checkpoint: mIoU for segmentation, mAP for classification, whatever the config's test_evaluator says.

The figures also go into <work dir>/<time stamp>/test.json, which tools/table.py collects.
"""
import argparse
from pathlib import Path

from mmengine.config import DictAction
from mmengine.runner import Runner

from decur.engine import load_config, prepare
from decur.errors import ConfigError
from decur.writing import write_json


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where logs go; default work_dirs/<config name>')
    parser.add_argument('--out', help='write the metrics to this JSON file')
    parser.add_argument('--show-dir', help='write predicted label maps and pictures of input, label and prediction to this folder')
    parser.add_argument('--tta', action='store_true', help='multi-scale and flip, as the config\'s tta_pipeline says')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override settings of the config')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how the processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    """Build the runner and test."""
    args = parse_args()
    cfg = prepare(load_config(args.config, args.cfg_options, args.work_dir), args.launcher)
    if not cfg.get('test_dataloader'):
        raise ConfigError(f'{args.config} has no test_dataloader: it is a pretraining config. Test a transfer config that loads its '
                          'encoders (model.backbone.pretrained=CHECKPOINT).')
    cfg.load_from = args.checkpoint
    # The encoders come from the checkpoint under test.
    if cfg.model.get('backbone', {}).get('pretrained'):
        cfg.model.backbone.pretrained = None
    hooks = [dict(type='TestRecordHook', options=dict(args.cfg_options, **(dict(tta=True) if args.tta else {})))]
    if args.show_dir:
        hooks.append(dict(type='PredictionPictureHook', out_dir=args.show_dir))
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), *hooks]
    if args.tta:
        if 'tta_pipeline' not in cfg:
            raise ConfigError(f'{args.config} has no tta_pipeline.')
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.model = dict(cfg.get('tta_model') or dict(type='SegTTAModel'), module=cfg.model)
    runner = Runner.from_cfg(cfg)
    metrics = runner.test()
    if args.out and runner.rank == 0:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        write_json(args.out, {key: float(value) for key, value in metrics.items()})


if __name__ == '__main__':
    main()
