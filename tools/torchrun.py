"""torchrun for the shell tools: it takes the same arguments, and ends with the one line that says why instead of a report on processes."""
import argparse
import logging
import signal
import sys

from decur_command.arguments import answer_help


def parse_args():
    """The command line, as far as ``--help`` shows it; PyTorch parses it."""
    parser = argparse.ArgumentParser(description=__doc__, usage='%(prog)s [torchrun options] TOOL [arguments of the tool]',
                                     epilog='Every option: python -m torch.distributed.run --help')
    parser.add_argument('--nproc_per_node', metavar='N', help='processes of this machine, one for each GPU')
    parser.add_argument('--nnodes', metavar='N', help='machines')
    parser.add_argument('--node_rank', metavar='I', help='number of this machine, from 0')
    parser.add_argument('--master_addr', metavar='ADDRESS', help='of machine 0')
    parser.add_argument('--master_port', metavar='PORT', help='a free port of machine 0')
    return parser.parse_args()


# Before the import that takes seconds. Behind the tool's name, --help is the tool's.
if sys.argv[1:2] in (['-h'], ['--help']):
    answer_help(parse_args)

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

#: How the line of a process begins that only lost another one (decur.errors).
LOST = 'error: another process of the run'


def main() -> None:
    """Start the processes, and pass on why they ended."""
    # Its lines about which process it ends, and with which signal, would stand below the reason.
    logging.disable(logging.ERROR)
    try:
        run.run(run.parse_args(sys.argv[1:]))
    except SignalException as stop:
        # The processes got the same signal; the first one has said what it saved.
        print('interrupted' if stop.sigval == signal.SIGINT else f'ended by {signal.Signals(stop.sigval).name}', file=sys.stderr)
        sys.exit(128 + stop.sigval)
    except ChildFailedError as error:
        line, status = reason(error.failures)
        print(line, file=sys.stderr)
        sys.exit(status)


def reason(failures: dict) -> tuple:
    """The line and the exit status for the failed processes by rank: the first that failed by itself; others fail for want of it."""
    def order(item):
        rank, failure = item
        said = message(failure)
        if said:
            kind = 3 if said.startswith(LOST) else 0
        else:
            # The launcher has ended with SIGTERM those that were left.
            kind = 4 if failure.exitcode == -signal.SIGTERM else 1 if failure.exitcode < 0 else 2
        return kind, failure.timestamp, rank

    rank, failure = min(failures.items(), key=order)
    said = message(failure)
    if said:  # also if it was killed while it ended: when all fail for one reason, the launcher sends SIGTERM to those that end later
        return said, max(failure.exitcode, 1)
    if failure.exitcode > 0:
        return f'error: process {rank} ended with status {failure.exitcode}; what it wrote last is above.', failure.exitcode
    return (f'error: process {rank} was killed ({failure.signal_name()}), most often because memory ran out. A training goes on with '
            '--resume.'), 128 - failure.exitcode


def message(failure) -> str:
    """What a process has recorded of its failure; empty if nothing."""
    found = failure.error_file_data.get('message')
    return found['message'] if isinstance(found, dict) else ''


if __name__ == '__main__':
    main()
