"""Samples with known factors, drawn in memory, for controlled experiments (the package ``decur_worlds`` generates data sets on disk)."""
