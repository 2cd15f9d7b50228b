"""Faults and attacks, injected: damaged files, hostile files, kills, signals, full disks. One JSON line for each experiment.

    python tests/campaign/run.py                          # everything; `make campaign`
    python tests/campaign/run.py --groups damaged --only png tar-gz --tries 200
    python tests/campaign/run.py --groups killed --tries 5 --out work_dirs/campaign

Every experiment says what was done, how it ended, and whether that is good: the right content or one clear line in time, nothing lost,
nothing run. The last lines are the sums. An experiment is drawn from (seed, number), so that one alone can be repeated:
--seed S --first N --tries 1.
"""
import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

GROUPS = ('damaged', 'hostile', 'killed', 'signals', 'workers', 'disk', 'ranks')


def experiments(group: str, only: list, first: int, tries: int, seed: int, scratch: Path):
    """Yield records ``dict(group, kind, ..., ended, good)``."""
    if group == 'damaged':
        import damaged as module
    elif group == 'hostile':
        import hostile_runs as module
    elif group == 'ranks':
        import ranks as module
    else:
        import faults as module
    for kind in module.names(group):
        if only and kind not in only:
            continue
        for number in range(first, first + (tries if module.repeats(group) else 1)):
            start = time.monotonic()
            record = dict(group=group, kind=kind, seed=seed, number=number)
            record.update(module.experiment(group, kind, random.Random(f'{group} {kind} {seed} {number}'), scratch))
            yield dict(record, seconds=round(time.monotonic() - start, 2))


def main() -> None:
    """Run the groups and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--groups', nargs='+', default=GROUPS, choices=GROUPS)
    parser.add_argument('--only', nargs='+', default=[], metavar='KIND', help='these kinds alone')
    parser.add_argument('--tries', type=int, default=30, help='experiments of each kind; hostile files are tried once')
    parser.add_argument('--first', type=int, default=0, help='number of the first experiment')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/campaign'), help='experiments.jsonl, and scratch files')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sums, bad = {}, []
    with open(args.out / 'experiments.jsonl', 'a', encoding='utf-8') as file:
        for group in args.groups:
            for record in experiments(group, args.only, args.first, args.tries, args.seed, args.out / 'scratch'):
                file.write(json.dumps(record) + '\n')
                file.flush()
                sums.setdefault((group, record['kind']), Counter())[record['ended']] += 1
                if not record['good']:
                    bad.append(record)
                    print(f'{group} {record["kind"]} {record["number"]}: {record["ended"]}: {record["detail"][:300]}', flush=True)
    for (group, kind), counts in sums.items():
        print(f'{group:8} {kind:32} ' + ', '.join(f'{name} {count}' for name, count in sorted(counts.items())))
    total = sum(sum(counts.values()) for counts in sums.values())
    print(f'{total} experiments, {len(bad)} bad; {args.out / "experiments.jsonl"}')
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
