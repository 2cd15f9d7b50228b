"""Generated data sets for tests, the quickstart and trials: RGB-D rooms and land cover, in the layouts of the public data sets.

``decur generate`` writes them. The library ``decur`` never imports this package; samples of known factors, which its experiments draw in
memory, are in :mod:`decur.synthetic`.
"""
