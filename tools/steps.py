"""Commands of the tools one after another, as the drivers run them: a step that is done is not repeated."""
import os
import subprocess
import sys
import time
from pathlib import Path


def run_step(*command: object, done: Path, log: Path | None = None) -> None:
    """Run a Python tool unless the file that it makes is there.

    The command is printed; what the tool prints goes to its log, but for a line with its ETA every ten seconds.

    Args:
        *command: The script and its arguments.
        done (Path): The file that the step makes last.
        log (Path, optional): Defaults to ``done`` with the suffix ``.log``.

    Raises:
        SystemExit: If the tool fails, with the reason that it gave, or does not make the file.
    """
    command = [str(part) for part in command]
    print('$ python ' + ' '.join(os.path.relpath(part) if Path(part).is_absolute() else part for part in command), flush=True)
    if done.exists():
        print(f'  done before: {os.path.relpath(done)}')
        return
    start = time.time()
    log = log or done.with_suffix('.log')
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w', encoding='utf-8') as file:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
            env=dict(os.environ, PYTHONWARNINGS='ignore'))
        shown = 0.0
        for line in process.stdout:
            file.write(line)
            # MMEngine's lines carry the ETA; one every ten seconds is enough to see that it moves.
            if 'eta:' in line and time.time() - shown > 10:
                print('  ' + line.split(' - INFO - ')[-1].strip()[:130], flush=True)
                shown = time.time()
    if process.wait():
        text = log.read_text(encoding='utf-8', errors='replace')
        reason = text.rstrip().rpartition('\n')[2]
        # A step that ends on bad input says why in its last line; anything else is shown at length.
        sys.exit(reason if reason.startswith('error: ') else f'error: {command[0]} failed; the end of {log}:\n{text[-2500:]}')
    if not done.exists():
        sys.exit(f'error: {command[0]} ended without writing {done}; see {log}')
    print(f'  {time.time() - start:.0f} s', flush=True)
