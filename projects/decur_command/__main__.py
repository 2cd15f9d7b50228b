"""``python -m decur_command`` is ``decur``."""
from . import main

main()
