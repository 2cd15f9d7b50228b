"""Test a segmentation model or a multi-label classifier with all of its modalities and with each alone, in one table."""
from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config', 'checkpoint', 'work-dir', 'out', 'tta', 'allow-missing', 'cfg-options')
    parser.add_argument('--subsets', nargs='+', metavar='A+B',
                        help='modalities that are there, e.g. rgb+hha rgb; default all, then each alone')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from mmengine.registry import RUNNERS

from decur.engine import load_config, prepare, prepare_test
from decur.errors import ConfigError, exit_on_bad_input
from decur.evaluation.missing import format_table, test_modalities
from decur.writing import write_json


@exit_on_bad_input()
def main():
    """Test, print the table."""
    args = parse_args()
    cfg = prepare_test(prepare(load_config(args.config, args.cfg_options, args.work_dir)), args.checkpoint, args.tta, args.allow_missing)
    evaluator = cfg.get('test_evaluator') or {}
    if evaluator.get('type') not in ('IoUMetric', 'PerClassIoUMetric', 'MultiLabelScores'):
        raise ConfigError(f'{args.config} is no transfer config: test_evaluator is {evaluator.get("type")}, expected IoUMetric or '
                          'MultiLabelScores.')
    if evaluator.type == 'IoUMetric':
        evaluator.type = 'PerClassIoUMetric'
    subsets = [subset.split('+') for subset in args.subsets] if args.subsets else None
    results = test_modalities(RUNNERS.build(cfg), subsets)
    print('\n' + format_table(results))
    if args.out:
        write_json(args.out, {name: {key: float(value) for key, value in metrics.items()} for name, metrics in results.items()})


if __name__ == '__main__':
    main()
