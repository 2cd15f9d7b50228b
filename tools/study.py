"""Run the decoupling study and write its tables and figures into docs/decoupling.md.

Runs that are finished are not run again; a changed config is. Partial results are written with --report-only.
"""
import argparse
import time
from pathlib import Path

from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument('--study', default='configs/decoupling/study.py', help='list of runs')
    parser.add_argument('--work-dir', default='work_dirs/study', help='folder of the runs')
    parser.add_argument('--doc', default='docs/decoupling.md', help='document with the places for the tables')
    parser.add_argument('--figures', default='docs/images', help='folder of the figures')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time, one thread each')
    parser.add_argument('--seeds', type=int, nargs='+', help='instead of the study\'s own')
    parser.add_argument('--report-only', action='store_true', help='write what is there')
    add_argument(parser, 'cfg-options', help='override settings of every run')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decoupling_study import document
from decoupling_study.figures import plot_world
from decoupling_study.runs import execute, plan, read
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from decur.binding import bind
from decur.errors import ConfigError, DataError, exit_on_bad_input
from decur.explain.files import save_figure
from decur.writing import check_writable, output_folder


def execute_all(runs: list, jobs: int) -> list:
    """Execute runs, with a line for each that is done."""
    results, start = [], time.time()
    for run, scores in execute(runs, jobs):
        results.append((run, scores))
        print(f'[{len(results)}/{len(runs)}] {run.folder}: {scores["seconds"]:.0f} s; {(time.time() - start) / 60:.1f} min so far',
              flush=True)
    return results


@exit_on_bad_input()
def main():
    """Run what is missing, then report."""
    args = parse_args()
    doc, study_file, figures = Path(args.doc), Path(args.study), Path(args.figures)
    for path in (doc, study_file):
        if not path.is_file():
            raise ConfigError(f'{path} does not exist: run from the root of the repository, or give --doc and --study.')
    study = Config.fromfile(study_file)
    runs = plan(study, study_file.parent, Path(args.work_dir), args.seeds, args.cfg_options)
    document.check(study, doc)
    output_folder(figures)
    check_writable(doc.parent)
    results = read(runs) if args.report_only else execute_all(runs, args.jobs)
    if not results:
        raise DataError(f'{args.work_dir} holds no scores: run without --report-only first.')
    document.write(study, runs, results, doc, figures)
    init_default_scope('mmpretrain')
    save_figure(figures / 'decoupling_world.png', plot_world(DATASETS.build(dict(bind(runs[0].load()).score_dataset, num_images=8))))
    print(f'wrote {args.doc}')


if __name__ == '__main__':
    main()
