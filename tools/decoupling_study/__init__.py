"""The parts of ``tools/study.py``: runs and their scores, tables, figures."""
