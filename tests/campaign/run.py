"""Faults and attacks, injected: damaged files, hostile files, kills, signals, full disks, load. One JSON line for each experiment.

    python tests/campaign/run.py                          # everything; `make campaign`
    python tests/campaign/run.py --groups damaged --only png tar-gz --tries 200
    python tests/campaign/run.py --groups killed --tries 5 --out work_dirs/campaign

A campaign that was stopped goes on: experiments that have their line are not made again. Remove the file to begin anew.

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

#: Experiments of each kind, by group. Those with whole programs take seconds each.
TRIES = dict(damaged=30, hostile=1, killed=8, signals=4, workers=4, disk=6, full=4, load=2, ranks=3)


def experiments(group: str, only: list, numbers: range, seed: int, scratch: Path, done: dict):
    """Yield records ``dict(group, kind, ..., ended, good)`` and whether they are new; ``done`` has those that there are by :func:`key`."""
    if group == 'damaged':
        import damaged as module
    elif group == 'hostile':
        import hostile_runs as module
    elif group == 'ranks':
        import ranks as module
    elif group in ('full', 'load'):
        import machine as module
    else:
        import faults as module
    for kind in module.names(group):
        if only and kind not in only:
            continue
        for number in numbers if module.repeats(group) else numbers[:1]:
            record = dict(group=group, kind=kind, seed=seed, number=number)
            if key(record) in done:
                yield done[key(record)], False
                continue
            start = time.monotonic()
            record.update(module.experiment(group, kind, random.Random(f'{group} {kind} {seed} {number}'), scratch))
            yield dict(record, seconds=round(time.monotonic() - start, 2)), True


def key(record: dict) -> tuple:
    """What an experiment is drawn from."""
    return tuple(record[name] for name in ('group', 'kind', 'seed', 'number'))


def read(path: Path) -> dict:
    """The experiments that have a whole line."""
    found = {}
    for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            found[key(record)] = record
        except (ValueError, KeyError):  # cut by a kill
            continue
    return found


def main() -> None:
    """Run the groups and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--groups', nargs='+', default=list(TRIES), choices=list(TRIES))
    parser.add_argument('--only', nargs='+', default=[], metavar='KIND', help='these kinds alone')
    parser.add_argument('--tries', type=int, help=f'experiments of each kind; default: {TRIES}')
    parser.add_argument('--first', type=int, default=0, help='number of the first experiment')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/campaign'), help='experiments.jsonl, and scratch files')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sums, bad = {}, []
    path = args.out / 'experiments.jsonl'
    done = read(path)
    with open(path, 'a', encoding='utf-8') as file:
        if path.stat().st_size and not path.read_bytes().endswith(b'\n'):
            file.write('\n')
        for group in args.groups:
            numbers = range(args.first, args.first + (args.tries or TRIES[group]))
            for record, new in experiments(group, args.only, numbers, args.seed, args.out / 'scratch', done):
                if new:
                    file.write(json.dumps(record) + '\n')
                    file.flush()
                sums.setdefault((group, record['kind']), Counter())[record['ended']] += 1
                if not record['good']:
                    bad.append(record)
                    print(f'{group} {record["kind"]} {record["number"]}: {record["ended"]}: {record["detail"][:300]}', flush=True)
    for (group, kind), counts in sums.items():
        print(f'{group:8} {kind:32} ' + ', '.join(f'{name} {count}' for name, count in sorted(counts.items())))
    total = sum(sum(counts.values()) for counts in sums.values())
    print(f'{total} experiments, {len(bad)} bad; {path}')
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
