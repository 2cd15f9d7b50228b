"""Worlds we can make: data sets with known contents."""
