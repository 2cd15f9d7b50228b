"""torchrun for the shell tools: it takes the same arguments, and ends with the one line that says why instead of a report on processes."""
import logging
import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> None:
    """Start the processes, and pass on why they ended."""
    # Its lines about which process it ends, and with which signal, would stand below the reason.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
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
    """The line and the exit status for the failed processes by rank: the first one that said why; the others failed for want of it."""
    said = [failure for failure in failures.values() if isinstance(failure.error_file_data.get('message'), dict)]
    rank, failure = min(failures.items(), key=lambda item: (item[1] not in said, item[1].timestamp, item[0]))
    status = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    if said:
        return failure.error_file_data['message']['message'], status
    if failure.exitcode < 0:
        return (f'error: process {rank} was killed ({failure.signal_name()}), most often because memory ran out. A training goes on with '
                '--resume.'), status
    return f'error: process {rank} ended with status {failure.exitcode}; what it wrote last is above.', status


if __name__ == '__main__':
    main()
