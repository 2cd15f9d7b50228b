"""The parts of ``tools/better.py``: which changes to plain DeCUR are tried on which tasks, their runs, and the table of what came out."""
