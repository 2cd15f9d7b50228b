"""Test a segmentation model or a multi-label classifier with all of its modalities and with each alone, in one table."""
import argparse
import json
import sys
from pathlib import Path

from mmengine.config import DictAction
from mmengine.runner import Runner

from decur.engine import load_config, prepare
from decur.errors import ConfigError, DataError, WeightsError
from decur.evaluation.missing import format_table, test_modalities


def main():
    """Parse the command line, test, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of a segmentation model or a classifier')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--subsets', nargs='+', metavar='A+B',
                        help='modalities that are there, e.g. rgb+hha rgb; default all, then each alone')
    parser.add_argument('--tta', action='store_true', help="multi-scale and flip, as the config's tta_pipeline says")
    parser.add_argument('--out', help='write all metrics to this JSON file')
    parser.add_argument('--work-dir', help='where logs go; default work_dirs/<config name>')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override settings of the config')
    args = parser.parse_args()
    try:
        cfg = prepare(load_config(args.config, args.cfg_options, args.work_dir))
        evaluator = cfg.get('test_evaluator') or {}
        if evaluator.get('type') not in ('IoUMetric', 'PerClassIoUMetric', 'MultiLabelScores'):
            raise ConfigError(f'{args.config} is no transfer config: test_evaluator is {evaluator.get("type")}, expected IoUMetric or '
                              'MultiLabelScores.')
        if evaluator.type == 'IoUMetric':
            evaluator.type = 'PerClassIoUMetric'
        cfg.load_from = args.checkpoint
        if cfg.model.get('backbone', {}).get('pretrained'):
            cfg.model.backbone.pretrained = None
        if args.tta:
            if 'tta_pipeline' not in cfg:
                raise ConfigError(f'{args.config} has no tta_pipeline.')
            cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
            cfg.model = dict(cfg.get('tta_model') or dict(type='SegTTAModel'), module=cfg.model)
        subsets = [subset.split('+') for subset in args.subsets] if args.subsets else None
        results = test_modalities(Runner.from_cfg(cfg), subsets)
    except (ConfigError, DataError, WeightsError) as error:
        sys.exit(f'error: {error}')
    print('\n' + format_table(results))
    if args.out:
        path = Path(args.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: {key: float(value) for key, value in metrics.items()} for name, metrics in results.items()},
                                   indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
