"""Data sets as their authors release them, to the files that our data sets read."""
