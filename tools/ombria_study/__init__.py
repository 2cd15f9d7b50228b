"""What tools/ombria.py does: the cells of the comparison, the runs that fill them, the per-pixel baseline, and the page."""
