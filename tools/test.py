"""Test a checkpoint: mIoU for segmentation, mAP for classification, whatever the config's test_evaluator says.

The metrics also go into <work dir>/<time stamp>/test.json, which tools/table.py collects. Runs on a GPU if PyTorch finds one, else on the
CPU. CUDA_VISIBLE_DEVICES=1 chooses the second GPU, CUDA_VISIBLE_DEVICES=-1 the CPU.
"""
from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line in OpenMMLab's convention."""
    parser = make_parser(__doc__, 'config', 'checkpoint', 'work-dir', 'out', 'tta', 'allow-missing', 'cfg-options', 'launcher')
    parser.add_argument('--show-dir', help='write predicted label maps and pictures of input, label and prediction to this folder')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from mmengine.registry import RUNNERS

from decur.engine import load_config, prepare, prepare_test
from decur.engine.options import chosen
from decur.errors import exit_on_bad_input
from decur.writing import output_folder, write_json


@exit_on_bad_input()
def main():
    """Build the runner and test."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    options = dict(chosen(cfg, args.cfg_options), **(dict(tta=True) if args.tta else {}))
    cfg = prepare_test(prepare(cfg, args.launcher), args.checkpoint, args.tta, args.allow_missing)
    hooks = [dict(type='TestRecordHook', options=options)]
    if args.show_dir:
        hooks.append(dict(type='PredictionPictureHook', out_dir=str(output_folder(args.show_dir))))
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), *hooks]
    runner = RUNNERS.build(cfg)
    metrics = runner.test()
    if args.out and runner.rank == 0:
        write_json(args.out, {key: float(value) for key, value in metrics.items()})


if __name__ == '__main__':
    main()
